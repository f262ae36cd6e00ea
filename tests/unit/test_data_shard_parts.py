"""A few neighbours of many shards at a time: equal to the whole index, bounded, never stale."""

import os
import pickle

import pytest

from data_pipelines.errors import ShardError
from data_pipelines.shards.index import ShardIndex, store_beside
from data_pipelines.shards.scan import scan
from data_pipelines.shards.shard_parts import ShardParts
from data_pipelines.shards.shard_set import ShardSet, summaries_of
from data_pipelines.shards.sidecar import sidecar_paths
from data_pipelines.shards.stored_rows import cut, locate, read_rows
from tests.support.shards import write_tar


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _shard(path, number, *, count=23):
    """Samples of one to three members; keys of several lengths, one of them twice."""
    members = []
    for i in range(count):
        key = "twice" if i in (3, 17) else f"s{number}-{i}"
        members.append((f"{key}.txt", b"%d %d" % (number, i)))
        members += [(f"{key}.json", b"{}")] * (i % 3 > 0) + [(f"{key}.cls", b"7")] * (i % 3 > 1)
    return write_tar(path, members)


def _parts(paths, *, part_samples=5, kept_samples=1000):
    shards = ShardSet(paths, summaries_of(paths), layout_samples=100)
    return ShardParts(shards, part_samples=part_samples, kept_samples=kept_samples)


@pytest.mark.parametrize("part_samples", [1, 4, 5, 23, 100])
def test_parts_are_the_whole(tmp_path, part_samples):
    paths = [_shard(tmp_path / "d" / f"{i}.tar", i) for i in range(2)]
    parts = _parts(paths, part_samples=part_samples)
    for path, number in zip(paths, range(2), strict=True):
        whole = ShardIndex.open(path)
        for row in [*range(23), *reversed(range(23))]:
            part = parts.part(number, row)
            assert part.key(row) == whole.key(row)
            assert part.name(row) == whole.name(row)
            assert part.read(row) == whole.read(row)
    assert parts.part(0, 17).name(17).endswith("/twice#2")
    copy = pickle.loads(pickle.dumps(parts))  # noqa: S301 (our own bytes)
    assert copy.part(1, 22).read(22) == {"txt": b"1 22", "json": b"{}"}


def test_rows_read_from_the_stored_index_are_those_cut_from_it(tmp_path):
    path = _shard(tmp_path / "s.tar", 0)
    layout = ShardIndex.open(path).layout
    rows = locate(sidecar_paths(path)[-1], layout)
    for first in range(23):
        for last in range(first + 1, 24):
            expected, found = cut(layout, first, last), read_rows(rows, first, last)
            for name, value in expected._asdict().items():
                assert (getattr(found, name) == value) is True or (
                    getattr(found, name) == value
                ).all(), name


def test_an_index_is_opened_once_a_shard(tmp_path, monkeypatch):
    paths = [_shard(tmp_path / "d" / f"{i}.tar", i) for i in range(3)]
    parts = _parts(paths, kept_samples=10)
    opened = []
    real = ShardIndex.open
    monkeypatch.setattr(
        "data_pipelines.shards.shard_set.ShardIndex.open",
        lambda shard: opened.append(shard) or real(shard),
    )
    for row in range(23):
        for number in range(3):
            parts.part(number, row)
    assert opened == paths
    assert len(parts._parts) == 2


@pytest.mark.parametrize("what", ["index", "shard", "both", "index gone", "index cut"])
def test_what_changes_meanwhile_is_noticed(tmp_path, what):
    path = _shard(tmp_path / "d" / "0.tar", 0)
    parts = _parts([path], kept_samples=5)
    parts.part(0, 0)
    index = sidecar_paths(path)[-1]
    if what == "index":
        index.write_bytes(index.read_bytes()[::-1])
    elif what == "index gone":
        index.unlink()
    elif what == "index cut":
        os.truncate(index, 100)
    else:
        _shard(path, 1)
    if what == "both":
        ShardIndex.open(path)
    if what in ("shard", "both"):
        with pytest.raises(ShardError, match="replaced meanwhile"):
            parts.part(0, 20)
    else:
        assert parts.part(0, 20).read(20) == {"txt": b"0 20", "json": b"{}", "cls": b"7"}


def test_shards_whose_index_can_be_stored_nowhere_stay_whole(tmp_path, monkeypatch):
    path = _shard(tmp_path / "d" / "0.tar", 0)
    (tmp_path / "cache").write_text("no folder")
    parts = _parts([path], kept_samples=5)
    assert [parts.part(0, row).read(row)["txt"] for row in (0, 22, 3)] == [b"0 0", b"0 22", b"0 3"]
    monkeypatch.setattr("data_pipelines.shards.index.scan", _must_not_run)
    assert parts.part(0, 11).key(11) == "s0-11"


def test_an_index_beside_the_shard_serves_where_the_cache_cannot_be_written(tmp_path, monkeypatch):
    path = _shard(tmp_path / "d" / "0.tar", 0)
    store_beside(path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("data_pipelines.shards.index.scan", _must_not_run)
    parts = _parts([path])
    assert parts.part(0, 0).key(0) == "s0-0"
    assert parts.part(0, 22).read(22)["txt"] == b"0 22"
    assert not parts._whole


def test_an_index_of_another_shard_is_not_located(tmp_path):
    path, other = _shard(tmp_path / "0.tar", 0), _shard(tmp_path / "1.tar", 0, count=22)
    ShardIndex.open(path)
    assert locate(sidecar_paths(path)[-1], scan(other)) is None
    assert locate(tmp_path / "none", scan(path)) is None


def _must_not_run(path):
    raise AssertionError(f"{path} was walked again")
