"""A full disk, a quota or a limit on files ends any command in one line that names the path."""

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.support.evaluation_data import labelled, write_evaluation_folder
from tests.support.runs import make_shards
from tests.support.words import word_tokenizer_folder
from vlsuite.cli.main import main
from vlsuite.engine.event_file import EventFile

_KIB = 1024


class _Place:
    """Inputs of the commands: shards, a finished run and its results."""

    def __init__(self, folder: Path) -> None:
        self.shards, self.run, self.data = make_shards(folder), folder / "run", folder / "data"
        assert main(self.train(self.run)) == 0
        write_evaluation_folder(self.data, labelled(8, num_classes=2), class_names=("cat", "dog"))
        assert main(["eval", str(self.run), "--data", str(self.data), "--no-cache"]) == 0

    def train(self, out: Path) -> list[str]:
        settings = (
            f"data.train={self.shards}", f"model.tokenizer={word_tokenizer_folder()}",
            "model.context_length=24", "model.name=vlsuite-tiny-32", "validation.data=",
            "duration=2steps", "global_batch_size=4", "logging.every=1steps", "threads=1",
            "data.num_workers=0", "checkpoint.every=1steps",
        )  # fmt: skip
        return ["train", "cifar10", "--out", str(out), *_each("--set", settings)]

    def command(self, name: str, out: Path) -> list[str]:
        """Words of a command that writes to ``out``."""
        run, data = str(self.run), str(self.data)
        return {
            "build": ["data", "build", "synthetic", "--num-samples", "60", "--out", str(out)],
            "tokenizer": [
                "data", "tokenizer", str(self.shards), "--vocab-size", "300", "--out", str(out)
            ],
            "train": self.train(out),
            "eval": ["eval", run, "--data", data, "--out", str(out), "--no-cache"],
            "embeddings": ["eval", run, "--data", data, "--out", str(out), "--cache", f"{out}/c"],
            "embed": ["embed", str(self.shards), "--model", run, "--out", str(out)],
            "export": ["export", run, "--out", str(out)],
            "transformers": ["export", run, "--format", "huggingface", "--out", str(out)],
            "report": ["report", run, "--out", str(out / "page.html")],
        }[name]  # fmt: skip


def _each(option: str, values: tuple[str, ...]) -> list[str]:
    return [word for value in values for word in (option, value)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> _Place:
    return _Place(tmp_path_factory.mktemp("full"))


@contextmanager
def _files_of(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes; Python turns the signal into an error (EFBIG).

    What the command says goes into a file of pytest, so the limit has to leave room for it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _only_error(words: list[str], out: Path, capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    assert main(words) == 2
    said = capfd.readouterr().err
    (line,) = [line for line in said.splitlines() if "rror" in line]
    assert line.startswith("error: cannot write "), said
    assert str(out) in line
    assert "Traceback" not in said
    return line


@pytest.mark.parametrize(
    ("name", "size", "file"),
    [
        ("build", 1 * _KIB, ""),
        ("build", 40 * _KIB, "shard-000000.tar"),
        ("tokenizer", 1 * _KIB, ""),
        ("train", 2 * _KIB, ""),
        ("train", 100 * _KIB, "checkpoints/step_00000001"),
        ("eval", 8 * _KIB, ".json"),
        ("embeddings", 1 * _KIB, "out/c/"),
        ("embed", 1 * _KIB, "images/00000.npy"),
        ("export", 100 * _KIB, "open_clip_model.safetensors"),
        ("transformers", 100 * _KIB, "model.safetensors"),
        ("report", 8 * _KIB, "page.html"),
    ],
)
def test_a_limit_on_the_size_of_files(place, tmp_path, capfd, name, size, file):
    out = tmp_path / "out"
    if name == "report":
        out.mkdir()
    with _files_of(size):
        line = _only_error(place.command(name, out), out.parent, capfd)
    assert file in line
    assert "File too large" in line
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    if name == "train":
        assert ("config.json" in left) == ("checkpoints" in file)
    else:
        assert set(left) <= {".lock"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("this user may not mount anything")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _leave(folder: Path, free: int) -> None:
    """Fill a disk but for ``free`` bytes."""
    with (folder / "ballast").open("wb", buffering=0) as file:
        file.write(bytes(shutil.disk_usage(folder).free - free))


@pytest.mark.parametrize(
    ("name", "free"),
    [
        ("build", 0),
        ("build", 16 * _KIB),
        ("tokenizer", 4 * _KIB),
        ("train", 0),
        ("train", 8 * _KIB),
        ("train", 100 * _KIB),
        ("eval", 0),
        ("embeddings", 4 * _KIB),
        ("export", 16 * _KIB),
        ("report", 8 * _KIB),
    ],
)
def test_a_full_disk(place, disk, capfd, name, free):
    if name == "report":
        (disk / "out").mkdir()
    _leave(disk, free)
    line = _only_error(place.command(name, disk / "out"), disk, capfd)
    assert "No space left on device" in line
    assert not [path for path in disk.rglob("*") if path.name.endswith((".tmp", ".unfinished"))]


def test_scalars_are_shown_and_earlier_ones_purged(tmp_path: Path) -> None:
    first = EventFile(tmp_path / "board", purge_step=1)
    for step in (1, 2, 3):
        first.add({"train/loss": step / 2, "eval/a b/top1": 0.5}, step=step)
    again = EventFile(tmp_path / "board", purge_step=3)
    again.add({"train/loss": 8.0}, step=3)
    for file in (first, again):
        file.close()
    board = EventAccumulator(str(tmp_path / "board"))
    board.Reload()
    assert [(e.step, e.value) for e in board.Scalars("train/loss")] == [(1, 0.5), (2, 1), (3, 8)]
    assert [e.step for e in board.Scalars("eval/a b/top1")] == [1, 2]
