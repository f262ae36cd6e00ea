"""The tutorials' commands, in their order and as they are written, on a few small pictures."""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.evaluation_data import noise_png
from tests.support.picture_folders import write_pictures
from tests.support.runs import make_shards
from vlsuite.cli.main import main

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"

_RUN = "--set global_batch_size=4 --set duration=2steps --set data.num_workers=0 "
_RUN += "--set optim.warmup_steps=1 --set threads=1"
#: What makes each command fit into a test: a word of it, and what is put behind it.
_SMALL = {
    "train": _RUN,
    "eval": "--no-cache",
    "corruptions": "--set corruptions.kinds=fog,contrast --set corruptions.severities=1,5",
    "study": "--set pretrain_epochs=1 --set epochs=1 --set lr=1e-3 --set batch_size=8 --jobs 1 "
    "--set pretrain_share=0.2 --set test_share=0.2 --set validation_share=0.2 --seeds 1",
}


def _commands(name: str) -> list[list[str]]:
    text = (TUTORIALS / name).read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True) for line in lines]
    assert {command[0] for command in commands} == {"vlsuite"}
    return [command[1:] for command in commands]


def _follow(name: str) -> None:
    for command in _commands(name):
        more = " ".join(text for word, text in _SMALL.items() if word in command)
        assert main(command + more.split()) == 0, command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with pictures in class folders."""
    names = [f"{kind}/{i}.png" for kind in ("cat", "dog", "boat") for i in range(4)]
    for folder, first in (("photos", 0), ("photos-test", 100)):
        pictures = {name: noise_png(first + i, side=40) for i, name in enumerate(names)}
        write_pictures(tmp_path / folder, pictures)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.timeout(600)
def test_own_pictures_to_a_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _follow("own_pictures.md")
    assert "top-1 accuracy" in capsys.readouterr().out
    assert (here / "runs" / "photos" / "report.html").is_file()
    text = (TUTORIALS / "own_pictures.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(script, "own_pictures.md", "exec"), {})
    assert capsys.readouterr().out.startswith(("(1, ", "torch.Size([1, "))
    _robustness(here)
    _wrong_captions(here)


def _robustness(here: Path) -> None:
    """On the model of the first tutorial, which is trained once."""
    (here / "things").symlink_to(here / "photos-test")
    for name in ("first", "second"):
        (here / "runs" / name).symlink_to(here / "runs" / "photos")
    _follow("robustness.md")
    assert "Headline" in (here / "comparison" / "compare.html").read_text()


def _wrong_captions(here: Path) -> None:
    make_shards(here).rename(here / "data" / "pairs")
    _follow("wrong_captions.md")
    assert (here / "study" / "study.html").is_file()
