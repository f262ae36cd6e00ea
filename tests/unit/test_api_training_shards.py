"""Evaluation on training shards is said: the same files, copies, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from data_pipelines.shards.overlap import shards_among
from eval.data.folders import open_dataset
from tests.support.runs import make_shards
from vlsuite.api.training_shards import patterns_of_run, trained_on_warnings


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("others"), num_samples=50)


def test_a_shard_of_the_training_set_is_found_by_place_and_by_content(
    shards: Path, others: Path, tmp_path: Path
) -> None:
    tars = sorted(shards.glob("*.tar"))
    copy = tmp_path / "renamed.tar"
    shutil.copy(tars[1], copy)
    link = tmp_path / "link.tar"
    link.symlink_to(tars[0])
    foreign = tmp_path / "foreign.tar"
    changed = bytearray(tars[0].read_bytes())
    changed[1000:1010] = b"x" * 10
    foreign.write_bytes(changed)
    found = shards_among([copy, link, tmp_path / "missing.tar"], tars)
    assert found == [copy, link]
    assert shards_among(sorted(others.glob("*.tar"))[1:], tars) == []


def test_the_warning_names_the_shards_and_the_run(shards: Path, tmp_path: Path) -> None:
    part = tmp_path / "test"
    part.mkdir()
    shutil.copy(sorted(shards.glob("*.tar"))[0], part / "one.tar")
    (line,) = trained_on_warnings([open_dataset(str(part))], [str(shards)], whose="runs/a")
    assert "1 of its 1 shards (one.tar) belong to the training set of runs/a" in line
    assert not [*trained_on_warnings([open_dataset(str(part))], ["s3://b/x.tar"], whose="a")]
    assert not [*trained_on_warnings([open_dataset(str(part))], [str(tmp_path / "no")], whose="a")]


def test_training_shards_of_a_run_are_read_from_its_folder(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "export").mkdir(parents=True)
    told = {"recipe": "emoji", "config": {"data": {"train": ["a", "b"]}}}
    (run / "config.json").write_text(json.dumps(told))
    assert patterns_of_run(str(run)) == (str(run), ["a", "b"])
    assert patterns_of_run(str(run / "export")) == (str(run), ["a", "b"])
    assert patterns_of_run("ViT-B-32:openai") is None
