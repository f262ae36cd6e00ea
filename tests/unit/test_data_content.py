"""What a shard holds in one word: other content is noticed, a copy is the same."""

import os
import shutil
from pathlib import Path

import pytest

from data_pipelines.errors import ShardError
from data_pipelines.shards.index import ShardIndex, store_beside
from data_pipelines.shards.scan import scan
from data_pipelines.shards.shard_set import ShardSet, summaries_of
from data_pipelines.shards.sidecar import sidecar_paths
from tests.support.shards import write_tar

PICTURE = bytes(range(256)) * 100  # 25,600 bytes: both ends are looked at


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _members(number=0, *, caption=b"a red circle", picture=PICTURE):
    members = []
    for i in range(5):
        members += [
            (f"{i}.jpg", picture),
            (f"{i}.txt", caption if i == 2 else b"picture %03d" % number),
            (f"{i}.json", b'{"n": 1}'),
        ]
    return members


def _replace_in_place(path: Path, old: bytes, new: bytes) -> None:
    """As an editor that restores the time of modification."""
    assert len(old) == len(new)
    status = path.stat()
    data = path.read_bytes()
    assert data.count(old) >= 1
    with path.open("r+b") as stream:
        stream.seek(data.index(old))
        stream.write(new)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns


def test_a_copy_and_the_same_members_packed_again_are_the_same(tmp_path):
    first = write_tar(tmp_path / "a.tar", _members(), mtime=1)
    again = write_tar(tmp_path / "b" / "other.tar", _members(), mtime=2)
    assert scan(first).content == scan(again).content
    assert len(scan(first).content) == 32


@pytest.mark.parametrize(
    "members",
    [
        _members(caption=b"a red square"),
        _members(picture=PICTURE[:-1] + b"x"),
        _members(picture=b"x" + PICTURE[1:]),
        _members()[3:] + _members()[:3],
        [(name.replace("4", "7"), data) for name, data in _members()],
        [(name, data.replace(b"1", b"2")) for name, data in _members()],
    ],
    ids=["caption", "end of a picture", "start of a picture", "order", "key", "json"],
)
def test_other_content_of_equal_size_is_another_one(tmp_path, members):
    first = write_tar(tmp_path / "a.tar", _members())
    other = write_tar(tmp_path / "b.tar", members)
    assert first.stat().st_size == other.stat().st_size
    assert scan(first).content != scan(other).content


def test_the_digest_does_not_change_between_versions(tmp_path):
    """Runs resume across versions: as first released (0.2.0)."""
    assert (
        scan(write_tar(tmp_path / "a.tar", _members())).content
        == "39a2aa5d71d9f71f7ec39771c946257c"
    )


@pytest.mark.parametrize("has_index_beside", [False, True])
@pytest.mark.parametrize("count", [1, 40])
def test_a_change_that_keeps_size_and_time_is_noticed(tmp_path, count, has_index_beside):
    """Forty shards are remembered in one file, few of them by their indexes."""
    paths = [write_tar(tmp_path / "d" / f"{i:03d}.tar", _members(i)) for i in range(count)]
    if has_index_beside:
        for path in paths:
            store_beside(path)
    before = summaries_of(paths)
    assert summaries_of(paths) == before
    _replace_in_place(paths[0], b"a red circle", b"a red square")
    after = summaries_of(paths)
    assert after[0].content == scan(paths[0]).content != before[0].content
    assert after[1:] == before[1:]
    assert ShardIndex.open(paths[0]).layout.content == after[0].content


def test_swapped_names_are_noticed(tmp_path):
    paths = [write_tar(tmp_path / "d" / f"{i}.tar", _members(i)) for i in range(2)]
    before = [summary.content for summary in summaries_of(paths)]
    assert before[0] != before[1]
    paths[0].rename(tmp_path / "aside")
    paths[1].rename(paths[0])
    (tmp_path / "aside").rename(paths[1])
    assert [summary.content for summary in summaries_of(paths)] == before[::-1]


def test_an_index_beside_a_copied_shard_is_used_where_the_machine_is_new_to_it(
    tmp_path, monkeypatch
):
    shard = write_tar(tmp_path / "d" / "a.tar", _members())
    content = scan(shard).content
    store_beside(shard)
    shutil.copytree(tmp_path / "d", tmp_path / "copy")  # with times, as rsync -a
    monkeypatch.setattr("data_pipelines.shards.index.scan", _must_not_run)
    copies = [tmp_path / "copy" / "a.tar"]
    assert summaries_of(copies)[0].content == content
    assert len(ShardIndex.open(copies[0])) == 5


def test_a_shard_that_changes_while_the_set_is_in_use_is_refused(tmp_path):
    paths = [write_tar(tmp_path / f"{i}.tar", _members(i)) for i in range(2)]
    opened = ShardSet(paths, summaries_of(paths), layout_samples=1)
    _replace_in_place(paths[1], b"a red circle", b"a red square")
    assert len(opened[0]) == 5
    with pytest.raises(ShardError, match="holds other content than when the run began"):
        opened[1]


def test_an_index_of_an_earlier_version_is_made_anew(tmp_path, monkeypatch):
    shard = write_tar(tmp_path / "a.tar", _members())
    monkeypatch.setattr("data_pipelines.shards.sidecar.SIDECAR_VERSION", 3)
    ShardIndex.open(shard)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert sidecar_paths(shard)[-1].exists()
    assert ShardIndex.open(shard).layout.content == scan(shard).content


def _must_not_run(path):
    raise AssertionError(f"{path} was walked again")
