"""``vlsuite eval`` killed on the way and started again: the same files as without the kills."""

import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.support.evaluation_data import labelled, write_evaluation_folder
from tests.support.exported_models import exported_model
from tests.support.warm_processes import exit_codes, start_command

_TASKS = ("zero_shot", "calibration", "corruptions")
_PATIENCE = 120  # seconds


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and pictures for two parts of embeddings: the first is written, then the second."""
    folder = tmp_path_factory.mktemp("inputs")
    exported_model(folder / "model")
    samples = labelled(1100, num_classes=4)
    samples[7]["png"] = b"broken"
    write_evaluation_folder(folder / "data", samples, class_names=("cat", "dog", "boat", "cow"))
    return folder


def _start(inputs: Path, place: Path) -> BaseProcess:
    """The same command in every place: results keep it, and would differ."""
    place.mkdir(exist_ok=True)
    words = ["eval", inputs / "model", "--data", inputs / "data", "--out", "out"]
    words += ["--cache", "cache", *(part for task in _TASKS for part in ("--task", task))]
    words += ["--set", "corruptions.kinds=gaussian_noise,fog", "--set", "corruptions.severities=3"]
    return start_command(*words, log=place / "log", place=place)


def _kill_when(process: BaseProcess, is_time: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE
    while not is_time():
        assert process.exitcode is None, "the evaluation ended before the moment of the kill"
        assert time.monotonic() < until
        time.sleep(0.001)
    process.kill()
    assert exit_codes([process], timeout=_PATIENCE) == [-signal.SIGKILL]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_killed_and_started_again(inputs: Path, tmp_path: Path) -> None:
    quiet, killed = tmp_path / "quiet", tmp_path / "killed"
    undisturbed = _start(inputs, quiet)

    _kill_when(_start(inputs, killed), lambda: any(killed.glob("cache/*/*/*/part-*")))
    assert any(killed.glob("cache/*/*/*/part-*"))
    assert not (killed / "out").exists()
    again = _start(inputs, killed)
    assert exit_codes([undisturbed, again], timeout=_PATIENCE) == [0, 0]

    assert len(_files(quiet / "out")) == len(_TASKS)
    assert _files(killed / "out") == _files(quiet / "out")
    assert _files(killed / "cache") == _files(quiet / "cache")
