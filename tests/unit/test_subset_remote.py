"""Subsets of shards on remote storage: what is fetched, what is advised, what is written anew."""

import json

import pytest

from data_pipelines.shards.remote import CachedShard
from data_pipelines.subsets.making import make_subset
from data_pipelines.subsets.pool import open_pool
from data_pipelines.subsets.reshard import reshard
from data_pipelines.subsets.showing import advice
from data_pipelines.subsets.subset_file import write_subset
from tests.support.subsets import datacomp_pool, kept_table, members_of, rows_of
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.sequence import SampleSequence


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A pool of five shards behind an address; where it lies on the disk."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = datacomp_pool(tmp_path / "pool", 40, per_shard=8)
    return f"file://{folder}/*.tar", folder


def _subset(address, folder, out, keep):
    kept = [row for row in rows_of(folder) if keep(row)]
    pool = open_pool([address])
    subset = make_subset(pool, kept_table(out / "kept.parquet", kept)).subset
    write_subset(subset, out / "some.subset")
    return pool, subset, kept


def test_below_half_of_remote_shards_resharding_is_advised(remote, tmp_path):
    address, folder = remote
    for keep, is_advised in ((lambda row: row[2] < 2, True), (lambda row: row[2] < 6, False)):
        pool, subset, _ = _subset(address, folder, tmp_path, keep)
        assert all(isinstance(shard, CachedShard) for shard in pool.shards)
        data = DataConfig(train=(address,), subset=(str(tmp_path / "some.subset"),))
        for told in (list(advice(subset, pool)), PairShards.open(data).remarks):
            assert bool(told) == is_advised
            assert not told or "vlsuite curate reshard SHARDS --subset FILE" in told[0]
    local = open_pool([str(folder)])
    assert list(advice(subset, local)) == []


def test_a_subset_made_of_local_shards_fits_the_same_shards_behind_an_address(remote, tmp_path):
    address, folder = remote
    _subset(str(folder), folder, tmp_path, lambda row: row[2] < 3)
    data = DataConfig(train=(address,), subset=(str(tmp_path / "some.subset"),))
    assert PairShards.open(data).num_samples == 15


def test_shards_without_a_chosen_sample_are_not_fetched_ahead(remote, tmp_path):
    address, folder = remote
    _subset(address, folder, tmp_path, lambda row: row[1] in ("00000001.tar", "00000003.tar"))
    data = DataConfig(train=(address,), subset=(str(tmp_path / "some.subset"),))
    shards = PairShards.open(data)
    sequence = SampleSequence(
        shards.lengths, seed=0, windows=shards.shuffling.windows, kept=shards.kept
    )
    assert set(sequence.windows_at(0)) == {1, 3}


def test_remote_shards_are_written_anew_as_local_ones_are(remote, tmp_path):
    address, folder = remote
    pool, subset, kept = _subset(address, folder, tmp_path, lambda row: row[2] % 3 == 0)
    reshard(pool, subset, tmp_path / "far", name="some", max_samples=4)
    reshard(open_pool([str(folder)]), subset, tmp_path / "near", name="some", max_samples=4)
    for path in (tmp_path / "near").glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "far" / path.name).read_bytes()
    found = [one for path in sorted((tmp_path / "far").glob("*.tar")) for one in members_of(path)]
    assert [json.loads(members["json"])["uid"] for _, members in found] == [u for u, _, _ in kept]
