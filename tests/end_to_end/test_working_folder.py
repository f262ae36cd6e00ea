"""Files of a user's that have the names of our packages, of torch or of Python's own modules."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.runs import make_shards
from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
_NAMES = ("eval", "data_pipelines", "deepspeed_configs", "torch", "random", "typing", "tokenizer")


@pytest.fixture
def folder(tmp_path):
    """A working folder in which every such import fails, with shards in it."""
    place = tmp_path / "work"
    place.mkdir()
    for name in _NAMES:
        (place / f"{name}.py").write_text(f"raise RuntimeError('{name}.py was imported')\n")
    make_shards(place, num_samples=32)
    return place


@pytest.fixture
def script(tmp_path):
    """The script that an installation makes of the entry point in pyproject.toml."""
    path = tmp_path / "bin" / "vlsuite"
    path.parent.mkdir()
    path.write_text(
        f"#!{sys.executable}\nimport sys\nfrom vlsuite.__main__ import main\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n"
    )
    path.chmod(0o755)
    return path


def _run(folder, words, **variables):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    environment = {**kept, "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(ROOT), **variables}
    words = [str(word) for word in words]
    return subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )


def _train(out):
    return [
        *("train", "cifar10", "--out", out, "--set", "data.train=shards"),
        *("--set", "duration=2steps", "--set", "global_batch_size=8"),
        *("--set", "data.num_workers=1", "--set", f"model.tokenizer={word_tokenizer_folder()}"),
        *("--set", f"model.context_length={CONTEXT_LENGTH}", "--set", "threads=1"),
    ]


def test_entry_point_is_the_one_tested_here():
    assert 'vlsuite = "vlsuite.__main__:main"' in (ROOT / "pyproject.toml").read_text()


def test_two_processes_with_workers_train_beside_them(folder, script):
    launch = [BIN / "torchrun", "--nproc-per-node", "2", "--no-python", script]
    done = _run(folder, [*launch, *_train("run")])
    assert done.returncode == 0, done.stderr[-3000:]
    assert (folder / "run" / "export" / "open_clip_config.json").is_file()


@pytest.mark.parametrize("start", ["script", "module"])
def test_spawned_processes_do_not_import_them(folder, script, start):
    launch = [script] if start == "script" else [sys.executable, "-m", "vlsuite"]
    done = _run(folder, [*launch, "data", "validate", "shards", "--workers", "2"])
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_package_that_is_hidden_is_said_in_one_line(folder, script):
    both = os.pathsep.join([str(folder), str(ROOT)])
    (folder / "random.py").unlink()
    done = _run(folder, [script, "doctor"], PYTHONPATH=both)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the package 'data_pipelines' of vlsuite is hidden by")
    assert str(folder / "data_pipelines.py") in done.stderr
    assert done.stderr.count("\n") == 1
