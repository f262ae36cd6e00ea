"""Runs on a subset by the real commands: continued, refused where the choice changed, measured."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.support.runs import make_shards, small_config
from tests.support.subsets import kept_table, rows_of
from vlsuite.api.training import train
from vlsuite.cli.main import main

STEPS = 6  # two epochs of 48 samples


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two subsets of equal counts a shard; a run of all steps on one, and one stopped half-way."""
    folder = tmp_path_factory.mktemp("subset")
    shards = make_shards(folder)
    for name, first in (("even", 0), ("odd", 1)):
        table = kept_table(folder / "kept.parquet", rows_of(shards)[first::2])
        made = ["--from", str(table), "--out", str(folder / f"{name}.subset")]
        assert main(["curate", "subset", str(shards), *made]) == 0
    for steps, out in ((STEPS, "undisturbed"), (STEPS // 2, "stopped")):
        train(_config(folder, steps), out=folder / out)
    return folder


@pytest.fixture
def stopped(whole, tmp_path, monkeypatch):
    """A copy of the stopped run, and a file for the subset that it names."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(whole / "stopped", tmp_path / "run")
    shutil.copy(whole / "even.subset", tmp_path / "chosen.subset")
    _rewrite(tmp_path / "run" / "config.json", str(whole / "even"), str(tmp_path / "chosen"))
    for state in (tmp_path / "run" / "checkpoints").glob("*/state.json"):
        _rewrite(state, str(whole / "even"), str(tmp_path / "chosen"))
    return tmp_path


def _config(folder, steps, subset="even"):
    settings = [f"duration={steps}steps", "checkpoint.every=3steps", "logging.uids=true"]
    chosen = [f"data.subset={folder / f'{subset}.subset'}"] if subset else []
    return small_config(folder / "shards", *settings, *chosen, "optim.schedule=constant")


def _rewrite(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


def _resume(run, capsys, *more):
    capsys.readouterr()
    words = ["train", "--resume", f"--out={run}", f"--set=duration={STEPS}steps"]
    code = main([*words, *(f"--set={text}" for text in more)])
    return code, capsys.readouterr().err.strip()


def _uids(run: Path) -> list[str]:
    lines = [
        json.loads(line)
        for path in (run / "uids").glob("*")
        for line in path.read_text().split("\n")
        if line
    ]
    return [uid for line in sorted(lines, key=lambda line: line["step"]) for uid in line["uids"]]


def _newest(run: Path) -> dict:
    return json.loads(max((run / "checkpoints").glob("*/state.json")).read_text())


def test_a_continued_run_sees_each_chosen_sample_once_an_epoch(whole, stopped, capsys):
    code, said = _resume(stopped / "run", capsys)
    assert code == 0, said
    assert "48 samples chosen by" in said
    assert "(50.0% of 96 in 3 shards)" in said
    assert "warning: the training shards" not in said
    uids = _uids(stopped / "run")
    assert uids == _uids(whole / "undisturbed")
    chosen = {uid for uid, _, _ in rows_of(whole / "shards")[::2]}
    assert Counter(uids[:48]) == Counter(uids[48:]) == dict.fromkeys(chosen, 1)
    assert _newest(stopped / "run")["data"].startswith("content-")


def test_another_choice_of_equal_counts_is_not_taken_for_the_same(whole, stopped, capsys):
    shutil.copy(whole / "odd.subset", stopped / "chosen.subset")
    code, said = _resume(stopped / "run", capsys)
    assert code == 2
    line = said.splitlines()[-1]
    assert "step 3: of shard-000000.tar other samples are chosen, of shard-000001.tar" in line
    setting = line.partition("--set ")[2].split()[0]
    code, said = _resume(stopped / "run", capsys, setting)
    assert code == 0, said
    assert "the training shards, their subset or mixture" in said
    assert not set(_uids(stopped / "run")[48:]) & set(_uids(stopped / "run")[:48])


def test_a_choice_that_is_asked_for_is_taken_and_said(whole, stopped, capsys):
    code, said = _resume(stopped / "run", capsys, f"data.subset={whole / 'odd.subset'}")
    assert code == 0, said
    assert "are others: of shard-000000.tar other samples are chosen" in said


def test_a_run_from_before_keeps_its_rule_until_it_takes_a_subset(whole, tmp_path, capsys):
    from vlsuite.batches.pair_shards import PairShards

    config = _config(whole, STEPS // 2, subset="")
    train(config, out=tmp_path / "run")
    old = PairShards.open(config.data).old_fingerprint(config.global_batch_size, config.seed)
    for path in (tmp_path / "run" / "checkpoints").glob("*/state.json"):
        told = json.loads(path.read_text())
        assert told["data"] != old
        path.write_text(json.dumps(told | {"data": old}))
    code, said = _resume(tmp_path / "run", capsys)
    assert code == 0, said
    assert "note: this run began when names and lengths of the shards told" in said
    assert "warning: the training shards" not in said
    assert _newest(tmp_path / "run")["data"] == old
    chosen = f"data.subset={whole / 'even.subset'}"
    code, said = _resume(tmp_path / "run", capsys, "duration=9steps", chosen)
    assert code == 0, said
    assert "warning: the training shards, their subset or mixture" in said
    assert _newest(tmp_path / "run")["data"].startswith("content-")


def test_evaluation_takes_the_chosen_samples(whole, tmp_path, capsys):
    words = ["eval", str(whole / "undisturbed"), "--data", str(whole / "shards"), "--device", "cpu"]
    words += ["--task", "retrieval", "--out", str(tmp_path / "out"), "--no-cache"]
    for more in ([], ["--subset", str(whole / "odd.subset")]):
        capsys.readouterr()
        assert main([*words, *more]) == 0
        # of the same shards, but no sample that was trained on
        assert ("belong to the training set" in capsys.readouterr().err) == (not more)
    found = [json.loads(path.read_text()) for path in sorted((tmp_path / "out").glob("*.json"))]
    assert {one["dataset"]: one["num_samples"] for one in found} == {"shards": 96, "shards-odd": 48}
    assert len({one["origin"]["data_revision"] for one in found}) == 2
    capsys.readouterr()
    other = make_shards(tmp_path, num_samples=32)
    refused = [*words[:2], "--data", str(other), "--subset", str(whole / "odd.subset")]
    assert main(refused) == 2
    assert "was made for other content: shard-000000.tar now holds 32" in capsys.readouterr().err
