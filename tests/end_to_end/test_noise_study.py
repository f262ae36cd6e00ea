"""``vlsuite study noise`` from shards to report, killed on the way and continued."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from tests.support.warm_processes import command, start
from vlsuite.cli.main import main

_GRID = ("--methods", "infonce,rde", "--rates", "0.5", "--seeds", "1", "--jobs", "1")
_SMALL = (
    "vocab_size=300", "pretrain_epochs=1", "epochs=1", "batch_size=16", "test_share=0.15",
    "validation_share=0.15", "pretrain_share=0.3", "lr_grid=5e-4", "tune_seed=0",
)  # fmt: skip
_CELLS = {"infonce-50-seed0", "rde-50-seed0"}
_PATIENCE = 280  # a machine with other work on it


def _words(shards: Path, out: Path) -> list[str]:
    settings = [part for one in _SMALL for part in ("--set", one)]
    return ["study", "noise", str(shards), "--out", str(out), *_GRID, *settings]


def study(words: list[str]) -> None:
    """In a process of its own: the leader of a group, which its runs belong to."""
    os.setsid()
    command(words)


def _finished(out: Path) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in out.glob("cells/*/cell.json")}


@pytest.mark.timeout(2 * _PATIENCE)
def test_a_killed_study_goes_on_with_the_runs_that_are_missing(tmp_path: Path, capfd):
    shards, out = tmp_path / "shards", tmp_path / "study"
    SyntheticSource(num_samples=320, side=32).build(Target(out_dir=shards))
    log = tmp_path / "log"
    first = start(study, _words(shards, out), log=log)
    ends = time.monotonic() + _PATIENCE
    while not _finished(out) and first.is_alive() and time.monotonic() < ends:
        time.sleep(0.05)
    assert first.pid is not None
    os.killpg(first.pid, signal.SIGKILL)
    first.join()
    kept = _finished(out)
    assert 0 < len(kept) < len(_CELLS), log.read_text()

    code = main(_words(shards, out))
    said = "".join(capfd.readouterr())
    assert code == 0, said
    finished = _finished(out)
    assert finished.keys() == _CELLS
    assert {name: finished[name] for name in kept} == kept
    assert "report: " in said
    data = json.loads((out / "study.json").read_text())
    assert data["num_runs"] == len(_CELLS)
    assert {name: one["lr"] for name, one in data["tuning"]["methods"].items()} == {
        "infonce": 5e-4,
        "rde": 5e-4,
    }
    detection = data["results"]["rde"]["0.5"]["detection"]
    assert detection["scored_by"] == "noise probability"
    assert 0 <= detection["auroc"]["value"] <= 1
