"""Folders that a failed command made go again; everything else stays."""

from pathlib import Path

import pytest

from data_pipelines.errors import DataError
from data_pipelines.shards.new_folders import no_empty_folders
from vlsuite.cli.main import main


def _fail(folder: Path, *made: str, file: str = "") -> None:
    def work() -> None:
        with no_empty_folders(folder):
            for name in made:
                (folder / name).mkdir(parents=True, exist_ok=True)
            if file:
                (folder / file).write_text("")
            raise DataError("too large")

    with pytest.raises(DataError):
        work()


def test_empty_folders_go_with_those_above_them(tmp_path):
    _fail(tmp_path / "a" / "b", "c/d", "e")
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_stays(tmp_path):
    _fail(tmp_path / "a" / "b", "c/d", "e", file="c/kept")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["c"]
    assert [path.name for path in (tmp_path / "a" / "b" / "c").iterdir()] == ["kept"]


def test_empty_folders_of_before_stay(tmp_path):
    (tmp_path / "mine").mkdir()
    _fail(tmp_path, "new/x", "mine/x")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_nothing_goes_where_all_went_well(tmp_path):
    with no_empty_folders(tmp_path / "a"):
        (tmp_path / "a").mkdir()
    assert (tmp_path / "a").is_dir()


@pytest.mark.parametrize("name", ["list.json", "list.csv"])
def test_an_ingest_of_a_broken_list_leaves_nothing(tmp_path, name, capsys):
    (tmp_path / name).write_text('{"no": "list"}')
    assert main(["data", "ingest", str(tmp_path / name), "--out", str(tmp_path / "a" / "b")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_scan_of_a_broken_shard_leaves_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "a.tar").write_bytes(b"no tar" * 1000)
    assert main(["curate", "scan", str(tmp_path / "shards")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["a.tar"]
