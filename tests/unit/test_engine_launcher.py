"""Which parents are launchers, and that one which ends is noticed."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vlsuite.engine.launcher import launcher_process, watched

_ROOT = Path(__file__).parents[2]
_SHOW = "import os; from vlsuite.engine.launcher import launcher_process as p; print(p())"
_SHELL = f'"{sys.executable}" -c "{_SHOW}"; true'  # true: the shell stays the parent


def _shown(words, **variables):
    kept = {k: v for k, v in os.environ.items() if k not in ("TORCHELASTIC_RUN_ID", "CROSS_RANK")}
    environment = {**kept, "PYTHONPATH": str(_ROOT), **variables}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["TORCHELASTIC_RUN_ID", "CROSS_RANK"])
def test_the_parent_that_set_the_variable_is_a_launcher(name):
    assert _shown([sys.executable, "-c", _SHOW], **{name: "none"}) == str(os.getpid())


def test_a_shell_is_none_nor_is_a_launcher_further_up():
    assert _shown([sys.executable, "-c", _SHOW]) == "None"
    assert _shown(["sh", "-c", _SHELL]) == "None"
    assert _shown(["sh", "-c", _SHELL], TORCHELASTIC_RUN_ID="none") == "None"
    assert _shown(["sh", "-c", f"nohup {_SHELL}"], TORCHELASTIC_RUN_ID="none") == "None"


def test_a_parent_that_is_another_one_now_is_told_once():
    told = threading.Event()
    with watched(told.set, launcher=os.getppid() + 1):
        assert told.wait(30)


def test_a_parent_that_is_there_and_no_launcher_are_silent():
    told = threading.Event()
    for launcher in (os.getppid(), None):
        with watched(told.set, launcher=launcher):
            pass
    assert not told.is_set()
    launcher_process()
