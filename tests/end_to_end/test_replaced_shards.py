"""Shards that were replaced while a run was stopped, by the real command."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.runs import make_shards, small_config
from vlsuite.api.training import train
from vlsuite.cli.main import main

NAMES = [f"shard-{number:06d}.tar" for number in range(3)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of 6 steps, and one that was stopped after 3, with their shards."""
    folder = tmp_path_factory.mktemp("replaced")
    shards = make_shards(folder)
    for steps, out in ((6, "undisturbed"), (3, "stopped")):
        train(_config(shards, steps), out=folder / out)
    return folder


@pytest.fixture
def stopped(whole, tmp_path, monkeypatch):
    """A copy to do harm to; the cache has not seen it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(whole / "stopped", tmp_path / "run")
    shutil.copytree(whole / "shards", tmp_path / "shards")
    return tmp_path


def _config(shards, steps):
    settings = (f"duration={steps}steps", "checkpoint.every=3steps", "logging.uids=true")
    return small_config(shards, *settings, "optim.schedule=constant")


def _resume(folder, capsys, *more):
    """Exit code and what was said by the command, with the shards in ``folder``."""
    capsys.readouterr()
    words = ["train", "--resume", f"--out={folder / 'run'}", "--set=duration=6steps"]
    code = main([*words, *(f"--set={text}" for text in more)])
    return code, capsys.readouterr().err.strip()


def _put_in_the_runs_place(folder):
    """The run names its shards by their folder: there they are what they are in ``folder``."""
    config = folder / "run" / "config.json"
    stored = json.loads(config.read_text())
    stored["config"]["data"]["train"] = [str(folder / "shards")]
    config.write_text(json.dumps(stored))
    for state in (folder / "run" / "checkpoints").glob("*/state.json"):
        told = json.loads(state.read_text())
        told["train"] = [str(folder / "shards")]
        state.write_text(json.dumps(told))


def _edit(path: Path, old: bytes, new: bytes) -> None:
    status = path.stat()
    data = path.read_bytes()
    with path.open("r+b") as stream:
        stream.seek(data.index(old))
        stream.write(new)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _swap(shards: Path) -> None:
    (shards / NAMES[0]).rename(shards / "aside")
    (shards / NAMES[1]).rename(shards / NAMES[0])
    (shards / "aside").rename(shards / NAMES[1])


CHANGES = {
    "swapped": (_swap, f"{NAMES[0]} holds what {NAMES[1]} held, {NAMES[1]} holds what"),
    "caption": (lambda d: _edit(d / NAMES[1], b"circle", b"CIRCLE"), f"{NAMES[1]} holds other"),
    "json": (lambda d: _edit(d / NAMES[2], b'"uid": "', b'"uid": ['), f"{NAMES[2]} holds other"),
    "picture": (lambda d: _edit(d / NAMES[0], b"IDAT", b"IDAX"), f"{NAMES[0]} holds other"),
    "gone": (lambda d: (d / NAMES[2]).unlink(), f"{NAMES[2]} is gone"),
    "new": (lambda d: shutil.copy(d / NAMES[0], d / "x.tar"), "x.tar is new"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_run_is_not_continued_on_other_content_unless_it_is_named(stopped, capsys, change):
    _put_in_the_runs_place(stopped)
    do, told = CHANGES[change]
    do(stopped / "shards")
    before = _files(stopped / "run")
    code, said = _resume(stopped, capsys)
    assert code == 2
    line = said.splitlines()[-1]
    assert line.startswith("error: the training shards are not what they were at step 3: " + told)
    assert "Traceback" not in said
    assert _files(stopped / "run") == before
    setting = line.partition("--set ")[2].split()[0]
    assert setting.startswith("data.accept_content=")
    code, said = _resume(stopped, capsys, setting)
    assert code == 0, said
    assert f"warning: from step 3 on the training shards are others: {told}" in said
    changes = (stopped / "run" / "changes.jsonl").read_text()
    assert setting.partition("=")[2] in changes
    assert _resume(stopped, capsys, "duration=7steps")[0] == 0  # it was named for good


def test_the_name_of_one_content_does_not_stand_for_the_next(stopped, capsys):
    _put_in_the_runs_place(stopped)
    _edit(stopped / "shards" / NAMES[1], b"circle", b"CIRCLE")
    setting = _resume(stopped, capsys)[1].partition("--set ")[2].split()[0]
    _edit(stopped / "shards" / NAMES[0], b"circle", b"cIRCLE")
    code, said = _resume(stopped, capsys, setting)
    assert code == 2
    assert f"{NAMES[0]} holds other content, {NAMES[1]} holds other content" in said


def test_moved_shards_are_the_same(whole, stopped, capsys):
    code, said = _resume(stopped, capsys, f"data.train={stopped / 'shards'}")
    assert code == 0, said
    assert "training shards" not in said
    assert _uids(stopped / "run") == _uids(whole / "undisturbed")


def test_shards_that_are_changed_by_a_setting_are_said_and_taken(stopped, capsys):
    _edit(stopped / "shards" / NAMES[1], b"circle", b"CIRCLE")
    code, said = _resume(stopped, capsys, f"data.train={stopped / 'shards'}")
    assert code == 0, said
    assert f"are others: {NAMES[1]} holds other content" in said


def test_a_run_that_began_before_goes_on_in_its_order_and_says_so(stopped, capsys):
    _put_in_the_runs_place(stopped)
    for state in (stopped / "run" / "checkpoints").glob("*/state.json"):
        told = json.loads(state.read_text())
        for name in ("content", "order", "train"):
            del told[name]
        state.write_text(json.dumps(told))
    shutil.rmtree(stopped / "run" / "shards")
    code, said = _resume(stopped, capsys)
    assert code == 0, said
    assert "began before the content of training shards was recorded" in said
    assert "shuffled as when this run began, ten shards at a time" in said
    (newest,) = (stopped / "run" / "checkpoints").glob("*6/state.json")
    assert json.loads(newest.read_text())["order"] == {}
    assert json.loads(newest.read_text())["content"]


def test_a_continued_run_reads_every_sample_once_an_epoch(whole, stopped, capsys):
    _put_in_the_runs_place(stopped)
    code, said = _resume(stopped, capsys)
    assert code == 0, said
    assert "96 samples in 3 shards" in said
    assert "3 shards at a time: a batch of 16 has samples of" in said
    assert _uids(stopped / "run") == _uids(whole / "undisturbed")
    assert len(set(_uids(stopped / "run"))) == 96


def _uids(run: Path) -> list[str]:
    lines = [
        json.loads(line)
        for path in (run / "uids").glob("*")
        for line in path.read_text().split("\n")
        if line
    ]
    return [uid for line in sorted(lines, key=lambda line: line["step"]) for uid in line["uids"]]


def _files(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.rglob("*")
        if path.is_file() and path.name != ".lock"
    }
