"""``vlsuite cache``: what is kept, by kind; what goes, and what never goes by itself."""

import json
import os
import re
import subprocess
import time
from functools import partial
from itertools import count

import pytest

from data_pipelines.shards.file_lock import locked
from vlsuite.api.caches import caches, prune
from vlsuite.cli import cache
from vlsuite.cli.main import main
from vlsuite.cli.shard_progress import shard_progress

DAY = 86400.0


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache folder: two models' embeddings of 40 and 2 days ago, an index, a paid answer."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "cache" / "vlsuite"
    for name, age in (
        ("embeddings/old/data/view/embeds.f32", 40),
        ("embeddings/new/data/view/embeds.f32", 2),
        ("index/0a.npz", 50),
        ("shards/files/b.tar", 60),
        ("shards/files/.lock", 60),
        ("answers/3d/3d00.json", 90),
        ("mine/notes.txt", 100),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 10_000)
        _set_age(path, age)
    for folder in (*(root / "embeddings").iterdir(), root / "answers" / "3d"):
        _set_age(folder, 365)
    return root


def _set_age(path, days):
    then = time.time() - days * DAY
    os.utime(path, (then, then))


def _left(root):
    files = (p for p in root.rglob("*") if p.is_file() and p.name != ".lock")
    return sorted(str(path.relative_to(root)) for path in files)


def test_kinds_are_listed_with_size_and_last_use(home, capsys):
    assert main(["cache", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(home)
    by_kind = {cache["kind"]: cache for cache in told["caches"]}
    assert {kind: cache["entries"] for kind, cache in by_kind.items()} == {
        "answers": 1, "embeddings": 2, "index": 1, "mine": 1, "shards": 1
    }  # fmt: skip
    assert by_kind["embeddings"]["bytes"] >= 20_000
    assert time.time() - by_kind["embeddings"]["last_used"] == pytest.approx(2 * DAY, abs=DAY / 4)
    assert main(["cache", "index"]) == 0
    said = capsys.readouterr().out
    assert "where the samples of shards are" in said
    assert "used 50 days ago" in said
    assert "embeddings" not in said


def test_old_entries_go_and_paid_answers_stay(home, capsys):
    before = _left(home)
    assert main(["cache", "--prune", "--older-than", "30d", "--dry-run"]) == 0
    assert "would be free" in capsys.readouterr().out
    assert _left(home) == before
    assert main(["cache", "--prune", "--older-than", "30d"]) == 0
    said = capsys.readouterr().out
    assert "embeddings: 1 gone" in said
    assert _left(home) == [
        "answers/3d/3d00.json", "embeddings/new/data/view/embeds.f32", "mine/notes.txt"
    ]  # fmt: skip
    assert not (home / "embeddings" / "old").exists()
    assert (home / "shards" / "files" / ".lock").exists()
    prune(["answers"])
    assert "answers/3d/3d00.json" not in _left(home)


def test_the_oldest_go_until_it_fits(home):
    size = next(c for c in caches() if c.kind == "embeddings").bytes_
    done = prune(["embeddings"], most_bytes=size - 1)
    assert [entry.path.name for entry in done.entries] == ["old"]
    assert prune(["embeddings"], most_bytes=size).entries == ()


def test_what_another_command_computes_stays(home):
    with locked(home / "embeddings" / "old" / "data" / ".lock"):
        done = prune(["embeddings"])
    assert [entry.path.name for entry in done.entries] == ["new"]
    assert [entry.path.name for entry in done.in_use] == ["old"]
    assert [entry.path.name for entry in prune(["embeddings"]).entries] == ["old"]


def test_links_are_removed_and_not_followed(home, tmp_path):
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("keep")
    (home / "index" / "link").symlink_to(tmp_path / "precious")
    (home / "index" / "link2").symlink_to(tmp_path / "folder")
    prune(["index"])
    assert (tmp_path / "precious").exists()
    assert (tmp_path / "folder" / "file").exists()
    assert list((home / "index").iterdir()) == []


def test_sizes_are_those_of_the_disk_and_links_count_once(home):
    tree = home / "peers" / "lib" / "deep"
    tree.mkdir(parents=True)
    for number in range(20):
        (tree / f"{number}.py").write_bytes(b"x" * 999 * number)
        os.link(tree / f"{number}.py", tree.parent / f"again{number}.py")
    (home / "peers" / "second").mkdir()
    os.link(tree / "19.py", home / "peers" / "second" / "19.py")
    (tree / "loop").symlink_to(home)
    counted = []
    (peers,) = (c for c in caches(advance=lambda: counted.append(1)) if c.kind == "peers")
    du = subprocess.run(["du", "-sk", "lib", "second"], cwd=home / "peers", capture_output=True)
    kilobytes = [int(line.split()[0]) for line in du.stdout.splitlines()]
    assert [entry.bytes_ for entry in peers.entries] == [1024 * size for size in kilobytes]
    assert len(counted) >= 45
    then = time.time() - 9 * DAY
    os.utime(tree / "loop", (then, then), follow_symlinks=False)
    for path in (*tree.parent.rglob("*.py"), *(home / "peers").iterdir()):
        _set_age(path, 9)
    (again,) = (c for c in caches() if c.kind == "peers")
    ages = [time.time() - entry.last_used for entry in again.entries]
    assert ages == pytest.approx([9 * DAY, 9 * DAY], abs=DAY / 4)


def test_a_long_count_shows_how_far_it_is(home, capsys, monkeypatch):
    monkeypatch.setattr(
        cache, "shard_progress", partial(shard_progress, clock=count(0.0, 1.0).__next__)
    )
    assert main(["cache", "--json"]) == 0
    told = capsys.readouterr()
    assert re.match(r"1 files?\n1\d files\n", told.err)
    assert json.loads(told.out)["caches"]


def test_nothing_kept_is_said_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["cache"]) == 0
    assert capsys.readouterr().out == f"0 B in {tmp_path / 'vlsuite'}\n"
    assert prune() == ((), ())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--older-than 30d", "--older-than says what --prune takes away; give --prune too"),
        (
            "embedings",
            "no cache 'embedings'; those there: answers, embeddings, index, mine, shards",
        ),
        ("--prune --older-than 30", "'30' is no age; write 90m, 12h, 30d or 8w"),
        ("--prune --most 10", "'10' is no size; write 500MB or 10GB"),
    ],
)
def test_mistakes(home, capsys, words, told):
    assert main(["cache", *words.split()]) == 2
    assert told in capsys.readouterr().err
    assert len(_left(home)) == 6
