"""Training on a subset: each chosen uid once an epoch, however many processes read it."""

from collections import Counter
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from tests.support.pair_streams import BATCH, pair_stream
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import PairShards
from vlsuite.cli.main import main
from vlsuite.errors import ConfigError, DataError

NUM_SAMPLES = 120


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("pool") / "shards"
    SyntheticSource(num_samples=NUM_SAMPLES, side=16).build(Target(out_dir=out, max_samples=16))
    return out


def _rows(folder):
    """(uid, shard, row) of all samples, from the shards alone."""
    return [
        (key, path.name, row)
        for path in find_shards(folder)
        for row, key in enumerate(ShardIndex.open(path).keys)
    ]


def _table(path, rows):
    uid, shard, row = zip(*rows, strict=True)
    table = {"uid": pa.array(uid), "shard": pa.array(shard), "row": pa.array(row, pa.int64())}
    parquet.write_table(pa.table(table), path)
    return path


def _subset(folder, rows, out):
    table = _table(out.with_suffix(".parquet"), rows)
    assert main(["curate", "subset", str(folder), "--from", str(table), "--out", str(out)]) == 0
    return out


def _chosen(folder, share, seed=0):
    rows = _rows(folder)
    is_kept = np.random.default_rng(seed).random(len(rows)) < share
    return [row for row, kept in zip(rows, is_kept, strict=True) if kept]


_stream = partial(pair_stream, color_jitter=0.4)


def _steps(stream, start, count):
    source = stream.from_position(start)
    return [[uid for batch in next(source) for uid in batch.uids] for _ in range(count)]


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_each_kept_uid_once_an_epoch_for_any_number_of_processes(folder, tmp_path, share):
    kept = _chosen(folder, share)
    file = _subset(folder, kept, tmp_path / "a.subset")
    uids = {uid for uid, _, _ in kept}
    epochs = BATCH  # a whole number of batches, whatever the number of samples
    steps = len(uids) * epochs // BATCH
    whole = _steps(_stream(folder, subset=(str(file),)), 0, steps)
    assert Counter(uid for step in whole for uid in step) == dict.fromkeys(uids, epochs)
    first = [uid for step in whole for uid in step][: len(uids)]
    assert set(first) == uids
    for world_size in (2, 4):
        ranks = [
            _steps(_stream(folder, rank=r, world_size=world_size, subset=(str(file),)), 0, steps)
            for r in range(world_size)
        ]
        assert [
            [uid for part in step for uid in part] for step in zip(*ranks, strict=True)
        ] == whole


def test_a_restart_goes_on_where_it_was(folder, tmp_path):
    file = _subset(folder, _chosen(folder, 0.4), tmp_path / "a.subset")
    whole = _steps(_stream(folder, subset=(str(file),)), 0, 12)
    assert _steps(_stream(folder, workers=2, subset=(str(file),)), 5 * BATCH, 7) == whole[5:]


def test_a_row_taken_three_times_is_seen_three_times_an_epoch(folder, tmp_path):
    kept = _chosen(folder, 0.2)
    file = _subset(folder, [*kept, kept[3], kept[3], kept[5]], tmp_path / "a.subset")
    count = len(kept) + 3
    seen = [uid for step in _steps(_stream(folder, subset=(str(file),)), 0, count) for uid in step]
    expected = Counter(uid for uid, _, _ in [*kept, kept[3], kept[3], kept[5]])
    assert Counter(seen[:count]) == expected
    assert Counter(seen) == {uid: BATCH * times for uid, times in expected.items()}


def test_weights_mix_a_subset_of_each_source(folder, tmp_path):
    other = tmp_path / "other"
    SyntheticSource(num_samples=40, side=16, seed=7).build(Target(out_dir=other, max_samples=16))
    kept = [_chosen(folder, 0.5), _rows(other)]
    file = _subset(folder, kept[0], tmp_path / "a.subset")
    config = {"subset": (str(file), "all"), "weights": (3.0, 1.0)}
    seen = [uid for step in _steps(_stream(folder, other, **config), 0, 40) for uid in step]
    own = [{uid for uid, _, _ in part} for part in kept]
    assert set(seen) <= own[0] | own[1]
    counts = Counter(uid for uid in seen if uid in own[0])
    assert max(counts.values()) - min(counts[uid] for uid in own[0]) <= 1
    shares = sum(counts.values()) / len(seen)
    assert shares == pytest.approx(0.75, abs=0.1)
    with pytest.raises(ConfigError, match="one for all, or one for each"):
        DataConfig(train=("a", "b", "c"), subset=("x", "y"))


def test_one_subset_over_the_shards_of_two_sources(folder, tmp_path):
    other = tmp_path / "other"
    source = SyntheticSource(num_samples=40, side=16, seed=7)
    source.build(Target(out_dir=other, max_samples=16))
    for path in find_shards(other):
        path.rename(path.with_name(f"other-{path.name}"))
    rows = [*_chosen(folder, 0.5), *_chosen(other, 0.5)]
    table = _table(tmp_path / "kept.parquet", rows)
    file = tmp_path / "both.subset"
    made = ["curate", "subset", str(folder), str(other), "--from", str(table), "--out", str(file)]
    assert main(made) == 0
    count = len(rows)
    seen = [u for s in _steps(_stream(folder, other, subset=(str(file),)), 0, count) for u in s]
    assert Counter(seen) == {uid: BATCH for uid, _, _ in rows}


def test_subsets_of_equal_counts_are_told_apart(folder, tmp_path):
    rows = [row for row in _rows(folder) if row[2] % 2 == 0]
    shifted = [(uid, shard, row) for uid, shard, row in _rows(folder) if row % 2 == 1]
    files = [
        _subset(folder, part, tmp_path / f"{name}.subset")
        for name, part in (("a", rows), ("b", shifted), ("c", list(reversed(rows))))
    ]
    opened = [
        PairShards.open(DataConfig(train=(str(folder),), subset=(str(file),))) for file in files
    ]
    assert opened[0].lengths == opened[1].lengths == opened[2].lengths
    words = [shards.fingerprint(8, 0) for shards in opened]
    assert words[0] != words[1]
    assert words[0] == words[2]  # the order of the table is none of the set
    assert opened[0].content != opened[1].content
    assert opened[0].old_fingerprint(8, 0) == opened[1].old_fingerprint(8, 0)  # the old fault


def test_other_or_changed_shards_are_refused(folder, tmp_path):
    file = _subset(folder, _chosen(folder, 0.5), tmp_path / "a.subset")
    other = tmp_path / "other"
    SyntheticSource(num_samples=NUM_SAMPLES, side=16, seed=5).build(
        Target(out_dir=other, max_samples=16)
    )
    for train, told in (
        (str(other), "now holds other content"),
        (str(folder / "shard-00000[0-3].tar"), "4 of them are not among the 4 given"),
    ):
        with pytest.raises(DataError, match=told) as refused:
            PairShards.open(DataConfig(train=(train,), subset=(str(file),)))
        assert "\n" not in str(refused.value)
