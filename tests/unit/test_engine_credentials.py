"""Passwords of addresses in a run's settings: kept for its resume, found nowhere else."""

import dataclasses
import json
from pathlib import Path

import pytest

from vlsuite.batches.source_names import source_names
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.credentials import CREDENTIALS, with_credentials
from vlsuite.engine.run_folder import RunFolder, describe_environment
from vlsuite.errors import RunFolderError, ShardError

ADDRESS = "http://user:hidden-word@host/{000..001}.tar"
MASKED = "http://***@host/{000..001}.tar"


def _config(address: str = ADDRESS) -> TrainConfig:
    plain = TrainConfig()
    return dataclasses.replace(plain, data=dataclasses.replace(plain.data, train=(address, "b")))


def _files(folder: Path) -> str:
    return "".join(p.read_text() for p in folder.iterdir() if p.name != CREDENTIALS)


def test_a_run_keeps_its_passwords_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["vlsuite", "train", f"data.train={ADDRESS}"])
    folder = RunFolder(tmp_path / "run")
    folder.create("emoji", _config())
    assert json.loads(folder.config.read_text())["config"]["data"]["train"] == [MASKED, "b"]
    assert folder.credentials.stat().st_mode & 0o777 == 0o600
    assert folder.stored_config("emoji") == _config()
    folder.change("emoji", _config("b"), {"data.train": (ADDRESS, "b")}, step=3)
    assert "hidden-word" not in _files(folder.path)
    assert MASKED in _files(folder.path)
    assert not folder.credentials.exists()


def test_a_run_without_passwords_has_no_such_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.create("emoji", _config("http://host/a.tar"))
    assert not folder.credentials.exists()
    assert folder.stored_config("emoji") == _config("http://host/a.tar")


def test_a_copy_without_the_file_says_what_is_missing(tmp_path: Path) -> None:
    from data_pipelines.shards.remote import find_remote

    folder = RunFolder(tmp_path / "run")
    folder.create("emoji", _config())
    folder.credentials.unlink()
    stored = folder.stored_config("emoji")
    assert stored.data.train == (MASKED, "b")
    with pytest.raises(ShardError, match=r"credentials\.json.*data\.train"):
        find_remote(stored.data.train[0])


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", '{"a": 1}', '{"b": "other"}'])
def test_a_strangers_file_adds_passwords_and_nothing_else(content: str, tmp_path: Path) -> None:
    (tmp_path / CREDENTIALS).write_text(content)
    assert with_credentials(tmp_path / CREDENTIALS, {"a": ["b", "a"]}) == {"a": ["b", "a"]}


def test_names_and_commands_hold_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["vlsuite", f"--data={ADDRESS}"])
    assert "hidden-word" not in describe_environment(seed=0)["command"]
    assert "hidden-word" not in "".join(source_names([ADDRESS, "http://user:hidden-word@host"]))


WRONG = [
    {"global_batch_size": "many"},
    {"global_batch_size": True},
    {"optim": {"lr": "fast"}},
    {"optim": {"lr": float("nan")}},
    {"optim": None},
    {"data": [1]},
    {"data": {"train": "abc"}},
    {"model": 7},
    {"model": {"kind": ["x"]}},
    {"model": {"kind": "open_clip", "image_size": "wide"}},
    {"duration": {"a": 1}},
    {"precision": "fp7"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_settings_of_other_kinds_are_one_line(wrong: dict, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.config.write_text(json.dumps({"recipe": "emoji", "config": wrong}))
    with pytest.raises(RunFolderError, match="not a run config") as refused:
        folder.stored_config("emoji")
    assert str(refused.value).isprintable()
