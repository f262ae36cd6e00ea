"""Finished runs are read back as they were written, and a folder of two studies is refused."""

from pathlib import Path

import pytest

from eval.errors import EvaluationError
from eval.studies.noise.records import load_cells, refuse_other_study
from tests.support.noise_cells import places, write_cell


def test_scores_are_those_of_the_places(tmp_path: Path):
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=[0, 4, 5, 0], i2t=[1, 1, 1, 9])
    (record,) = load_cells(tmp_path)
    assert record.cell == ("infonce", 0.5, 0)
    shares = {name: record.last(name) for name in ("r1_t2i", "r5_t2i", "r1_i2t", "r5_i2t")}
    assert shares == {"r1_t2i": 0.5, "r5_t2i": 0.75, "r1_i2t": 0.0, "r5_i2t": 0.75}


def test_best_leaves_the_start_out_and_counts_the_last_model(tmp_path: Path):
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=[0, 7, 7, 7, 7], curve=[0.9, 0.4, 0.3])
    write_cell(tmp_path, "rde", 0.5, 0, t2i=[0, 0, 7, 7, 7], curve=[0.1, 0.2, 0.3])
    falls, rises = load_cells(tmp_path)
    assert (falls.start("r1_t2i"), falls.best("r1_t2i"), falls.last("r1_t2i")) == (0.9, 0.4, 0.2)
    assert rises.best("r1_t2i") == 0.4


def test_without_pretraining_the_first_evaluation_is_a_candidate(tmp_path: Path):
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=[7], curve=[0.9, 0.4], has_start=False)
    (record,) = load_cells(tmp_path)
    assert record.best("r1_t2i") == 0.9
    assert record.start("r1_t2i") != record.start("r1_t2i")


def test_unfinished_runs_are_left_out(tmp_path: Path):
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=[0])
    (write_cell(tmp_path, "rde", 0.5, 0, t2i=[0]) / "cell.json").unlink()
    assert [record.cell.method for record in load_cells(tmp_path)] == ["infonce"]


def test_runs_of_other_settings_are_refused_or_left_out(tmp_path: Path):
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=[0])
    write_cell(tmp_path, "rde", 0.5, 0, t2i=[0], digest="others")
    with pytest.raises(EvaluationError, match="different settings"):
        load_cells(tmp_path)
    assert len(load_cells(tmp_path, digest="others")) == 1
    with pytest.raises(EvaluationError, match="choose another --out"):
        refuse_other_study(tmp_path, "others")
    refuse_other_study(tmp_path / "new", "others")


def test_other_test_sets_are_refused(tmp_path: Path):
    write_cell(tmp_path, "infonce", 0.5, 0, t2i=places(0.5, 20))
    write_cell(tmp_path, "rde", 0.5, 0, t2i=places(0.5, 30))
    with pytest.raises(EvaluationError, match="different sets"):
        load_cells(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"), [("cell.json", b"{"), ("cell.json", b"[]"), ("cell.npz", b"PK nothing")]
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: bytes):
    folder = write_cell(tmp_path, "infonce", 0.5, 0, t2i=[0])
    (folder / name).write_bytes(content)
    with pytest.raises(EvaluationError, match=r"infonce-50-seed0.*delete"):
        load_cells(tmp_path)


def test_an_empty_folder_says_so(tmp_path: Path):
    with pytest.raises(EvaluationError, match="no finished run"):
        load_cells(tmp_path)
