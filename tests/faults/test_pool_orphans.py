"""Processes of a pool do not outlive the process that made them and was killed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from data_pipelines.end_with_parent import end_with_parent

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    with ProcessPoolExecutor(2, mp_context=context, initializer=end_with_parent) as pool:
        list(pool.map(time.sleep, [0.2, 0.2]))
        print(*pool._processes, flush=True)
        time.sleep(120)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_end_with_a_killed_parent(tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    words = [sys.executable, str(program), method]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    until = time.monotonic() + 60
    while any(_is_running(worker) for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.1)


def _is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
