"""``vlsuite study detection`` from nothing to report, killed on the way and continued."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.detection_study import QUICK
from tests.support.warm_processes import ensure_server
from vlsuite.cli.main import main

_HEADS = {"text-seed0", "vild-seed0", "crop"}
_PATIENCE = 280  # a machine with other work on it


def _words(out: Path, *more: str) -> list[str]:
    settings = [part for one in (*QUICK, *more) for part in ("--set", one)]
    chosen = ["--modes", "text,vild,crop", "--seeds", "1", "--jobs", "1"]
    return ["study", "detection", "--out", str(out), *chosen, *settings]


def _start(words: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "vlsuite", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _finished(out: Path) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in out.glob("cells/*/test.json")}


@pytest.mark.timeout(2 * _PATIENCE)
def test_a_killed_study_goes_on_where_it_was(tmp_path: Path, capfd):
    out = tmp_path / "study"
    first = _start(_words(out))
    ends = time.monotonic() + _PATIENCE
    while not (out / "localizer" / "export" / "vild_config.json").is_file():
        if first.poll() is not None:
            break
        assert time.monotonic() < ends
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    said, _ = first.communicate()
    assert len(_finished(out)) < len(_HEADS), said
    made = (out / "localizer" / "config.json").stat().st_mtime_ns

    ensure_server()  # its processes start the heads
    code = main(_words(out))
    said = "".join(capfd.readouterr())
    assert code == 0, said
    assert (out / "localizer" / "config.json").stat().st_mtime_ns == made
    finished = _finished(out)
    assert finished.keys() == _HEADS
    assert "report: " in said
    data = json.loads((out / "study.json").read_text())
    assert data["num_heads"] == len(_HEADS)
    assert data["results"]["vild"]["seeds"] == [0]
    assert 0 <= data["results"]["crop"]["ap50"]["base"]["value"] <= 1
    assert (out / "study.html").stat().st_size > 10_000

    assert main(_words(out)) == 0
    assert _finished(out) == finished
    capfd.readouterr()
    assert main(_words(out, "train=40")) == 2
    assert "other settings (train)" in capfd.readouterr().err

    assert main(["study", "detection", "--out", str(out), "--report-only"]) == 0
