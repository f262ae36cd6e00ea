"""The short form of ``python -m benchmarks.kill_resume``: kills, other processes and stages."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _last_line(*words):
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_killed_runs_end_as_if_nothing_had_happened():
    figures = _last_line(
        *("benchmarks.kill_resume", "--kills=2", "--steps=14", "--stages=1,3", "--seed=1")
    )
    assert figures["kills"] == figures["identical_loss"] == figures["uids_exactly_once"] == 2
    assert len(figures["elastic_max_loss_diff"]) == 3
    assert max(figures["elastic_max_loss_diff"].values()) < 1e-5
