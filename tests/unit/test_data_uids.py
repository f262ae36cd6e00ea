"""Uids of samples that have none of their own: shard and key, wherever the shard lies."""

import json
import os
import shutil

import numpy as np
import pytest

from data_pipelines.errors import DataError
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex, store_beside
from data_pipelines.shards.remote import CachedShard, RemoteShard
from data_pipelines.shards.shard_cache import ShardCache
from data_pipelines.shards.shard_set import name_of
from data_pipelines.shards.sidecar import Stamp
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.shards.validate import validate
from tests.support.shards import picture, write_tar
from vlsuite.api.shards import open_shards
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import PairShards


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _numbered(path, first, count=4):
    """Keys from 000000 on in every shard, as img2dataset numbers them; all members of one size."""
    rng = np.random.default_rng(first)
    members = []
    for i in range(count):
        members += [
            (f"{i:06d}.jpg", rng.bytes(700)),
            (f"{i:06d}.txt", f"p {first + i:04d}".encode()),
        ]
    return write_tar(path, members)


def _uids(*patterns):
    return [sample.uid for sample in open_shards(patterns)]


def test_two_shards_numbered_alike_have_other_uids(tmp_path):
    _numbered(tmp_path / "0.tar", 0)
    _numbered(tmp_path / "1.tar", 4)
    assert len(set(_uids(tmp_path))) == 8
    assert all(uid.endswith("/000002") for uid in _uids(tmp_path)[2::4])


def test_folders_with_shards_of_one_name_have_other_uids(tmp_path):
    """Names, keys and sizes are equal here; only the content differs."""
    a = _numbered(tmp_path / "a" / "00000.tar", 0)
    b = _numbered(tmp_path / "b" / "00000.tar", 4)
    assert a.stat().st_size == b.stat().st_size
    assert len(set(_uids(a, b))) == 8
    assert PairShards([str(a.parent), str(b.parent)]).problems == []


def test_uids_do_not_depend_on_the_place_of_shards_or_indexes_or_on_their_neighbours(tmp_path):
    a = _numbered(tmp_path / "a" / "00000.tar", 0)
    before = _uids(a)
    store_beside(a)
    assert _uids(a) == before
    moved = tmp_path / "elsewhere" / "00000.tar"
    moved.parent.mkdir()
    shutil.copyfile(a, moved)
    os.utime(moved, (1, 1))
    _numbered(tmp_path / "elsewhere" / "00001.tar", 4)
    assert _uids(moved.parent)[:4] == before
    shutil.rmtree(tmp_path / "cache")
    assert _uids(moved) == before


def test_packing_the_same_members_again_keeps_the_uids(tmp_path):
    members = [("k.jpg", picture(1)), ("k.txt", b"a")]
    first = ShardIndex.open(write_tar(tmp_path / "a" / "s.tar", members, mtime=1))
    again = ShardIndex.open(write_tar(tmp_path / "b" / "s.tar", members, mtime=2))
    other = ShardIndex.open(write_tar(tmp_path / "c" / "s.tar", [*members[:1], ("k.txt", b"b")]))
    assert first.name(0) == again.name(0) != other.name(0)


def test_a_key_twice_in_one_shard_gives_two_uids(tmp_path):
    members = [("k.txt", b"a"), ("l.txt", b"b"), ("k.txt", b"c"), ("l.txt", b"d"), ("k.txt", b"e")]
    uids = _uids(write_tar(tmp_path / "s.tar", members))
    assert [uid.partition("/")[2] for uid in uids] == ["k", "l", "k#2", "l#2", "k#3"]


def test_addresses_lend_a_uid_nothing_but_the_name_of_the_file(tmp_path):
    url = "https://user:secret@host/data/00000.tar?X-Amz-Signature=abc/def.tar"
    shard = CachedShard(
        RemoteShard(url, Stamp(1, 1)), ShardCache(folder=tmp_path, max_bytes=1 << 20)
    )
    assert name_of(shard) == "00000.tar"


def test_own_uids_win(tmp_path):
    members = [("k.txt", b"a"), ("k.json", json.dumps({"uid": "mine"}).encode())]
    assert _uids(write_tar(tmp_path / "s.tar", members)) == ["mine"]
    assert StoredSample("k", {}).uid == "k"


def test_a_shard_that_is_there_twice_is_said_at_opening(tmp_path):
    a = _numbered(tmp_path / "a" / "00000.tar", 0)
    copy = tmp_path / "b" / "00000.tar"
    copy.parent.mkdir()
    shutil.copyfile(a, copy)
    (problem,) = PairShards([str(a.parent), str(copy.parent)]).problems
    assert problem.startswith("4 samples in 1 shards are there twice")
    with pytest.raises(DataError, match="there twice"):
        PairShards([str(a.parent), str(copy.parent)], DataConfig(on_bad="raise"))


def test_permanent_ids_that_repeat_are_said_at_opening(tmp_path):
    ids = [f"{number:032x}" for number in range(5)]
    for shard, own in (("a", ids[:3]), ("b", ids[2:])):
        write_tar(tmp_path / f"{shard}.tar", [(f"{uid}.txt", shard.encode()) for uid in own])
    (problem,) = PairShards([str(tmp_path)]).problems
    assert problem.startswith(f"1 uids are there twice ({ids[2]} in ")
    assert "a.tar" in problem
    assert "b.tar" in problem


def test_validate_says_what_stands_for_the_uid(tmp_path):
    for number in (0, 1):
        members = [
            member
            for i in range(3)
            for member in ((f"{i}.png", picture(3 * number + i)), (f"{i}.txt", b"a"))
        ]
        write_tar(tmp_path / f"{number}.tar", members)
    report = validate([tmp_path])
    assert (report.num_without_uid, report.problems) == (6, {})
    assert len(find_shards([tmp_path])) == 2
