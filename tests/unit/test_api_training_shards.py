"""Evaluation on training shards is said: the same files, copies, and nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from data_pipelines.shards.overlap import shards_among
from data_pipelines.subsets.making import make_subset
from data_pipelines.subsets.pool import open_pool
from data_pipelines.subsets.subset_file import write_subset
from eval.data.dataset import EvalDataset
from eval.data.folders import locate, open_dataset
from eval.data.read_samples import read_dataset
from eval.data.sample_subset import with_subset
from tests.support.runs import make_shards
from tests.support.subsets import kept_table, rows_of
from vlsuite.api.training_shards import patterns_of_run, subsets_of_run, trained_on_warnings


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


def test_other_samples_of_training_shards_are_no_training_set(shards: Path, tmp_path: Path) -> None:
    layout, pool = locate(str(shards)), open_pool([str(shards)])
    files = []
    for name, first in (("even", 0), ("odd", 1)):
        table = kept_table(tmp_path / "kept.parquet", rows_of(shards)[first::2])
        files.append(tmp_path / f"{name}.subset")
        write_subset(make_subset(pool, table).subset, files[-1])
    even, odd = (read_dataset(with_subset(layout, file)) for file in files)

    def told(*datasets: EvalDataset, subsets: tuple[str, ...]) -> list[str]:
        return [*trained_on_warnings(datasets, [str(shards)], whose="runs/a", subsets=subsets)]

    assert told(odd, subsets=(str(files[0]),)) == []
    assert len(told(even, subsets=(str(files[0]),))) == 1
    assert len(told(read_dataset(layout), subsets=(str(files[0]),))) == 1
    assert len(told(odd, subsets=("all",))) == len(told(odd, subsets=())) == 1
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(
        json.dumps({"recipe": "emoji", "config": {"data": {"subset": ["a", "all"]}}})
    )
    assert subsets_of_run(str(run / "export")) == ["a", "all"]
    assert subsets_of_run("ViT-B-32:openai") == []
