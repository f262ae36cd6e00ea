"""Two processes train like one on the joined batch, through the real launcher and loop.

The benchmark prints the figures for every ZeRO stage; this runs its quick form.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_two_processes_equal_one():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.rank_parity", "--quick", "--steps", "3"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout.splitlines()[-1])["max_loss_diff"]
    assert set(figures) == {"clip_zero0", "clip_zero3", "siglip_zero0", "siglip_zero3"}
    assert max(figures.values()) <= 1e-5, figures
