"""The training sequence: every sample once an epoch, the same however it is read."""

import shutil
from collections import Counter
from itertools import islice

import pytest
import torch

from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from tests.support.words import word_tokenizer
from vlsuite.batches.stream import DataConfig, PairShards, Place, TrainStream, expand_pattern
from vlsuite.batches.transforms import AugmentConfig, TrainTransform
from vlsuite.errors import DataError

NUM_SAMPLES = 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs") / "shards"
    SyntheticSource(num_samples=NUM_SAMPLES, side=16).build(Target(out_dir=out, max_samples=16))
    return out


def _batches(folder, *, rank=0, world_size=1, micro=8, workers=0, start=0, steps=10, seed=0):
    config = DataConfig(train=(str(folder),), num_workers=workers)
    augment = AugmentConfig(crop_scale=(0.3, 1.0), flip_probability=0.5, color_jitter=0.4)
    stream = TrainStream(
        config,
        PairShards(config.train),
        place=Place(rank=rank, world_size=world_size, global_batch_size=8, micro_batch_size=micro),
        transform=TrainTransform(augment, size=(16, 16), interpolation="bicubic"),
        tokenizer=word_tokenizer(),
        trim_text=True,
        seed=seed,
        pin_memory=False,
    )
    steps_made = islice(stream.from_position(start), steps)
    return [batch for step in steps_made for batch in step]


def _uids(batches):
    return [uid for batch in batches for uid in batch.uids]


def test_every_sample_once_an_epoch_and_none_dropped_at_the_tail(folder):
    uids = _uids(_batches(folder, steps=25))[: 4 * NUM_SAMPLES]
    for epoch in range(4):
        part = uids[epoch * NUM_SAMPLES : (epoch + 1) * NUM_SAMPLES]
        assert set(Counter(part).values()) == {1}
        assert len(part) == NUM_SAMPLES
    assert uids[:NUM_SAMPLES] != uids[NUM_SAMPLES : 2 * NUM_SAMPLES]


def test_two_processes_read_what_one_reads(folder):
    one = _batches(folder)
    first, second = (_batches(folder, rank=r, world_size=2, micro=4) for r in (0, 1))
    for whole, left, right in zip(one, first, second, strict=True):
        assert whole.uids == left.uids + right.uids
        assert torch.equal(whole.images, torch.cat([left.images, right.images]))


def test_micro_batches_are_the_batch_in_pieces(folder):
    assert _uids(_batches(folder)) == _uids(_batches(folder, micro=2))


def test_workers_change_nothing(folder):
    for a, b in zip(_batches(folder), _batches(folder, workers=2), strict=True):
        assert a.uids == b.uids
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.token_ids, b.token_ids)


def test_resuming_at_a_position_continues_the_sequence(folder):
    undisturbed = _batches(folder, steps=12)
    for a, b in zip(undisturbed[9:], _batches(folder, start=72, steps=3), strict=True):
        assert a.uids == b.uids
        assert torch.equal(a.images, b.images)


def test_seed_changes_the_order(folder):
    assert _uids(_batches(folder)) != _uids(_batches(folder, seed=1))


def test_broken_pictures_are_replaced_and_counted(folder, tmp_path):
    broken = tmp_path / "shards"
    shutil.copytree(folder, broken, ignore=shutil.ignore_patterns("*.npz"))
    shard = broken / "shard-000000.tar"
    data = bytearray(shard.read_bytes())
    start = data.find(b"\x89PNG")
    data[start : start + 8] = b"not a PN"
    shard.write_bytes(bytes(data))
    batches = _batches(broken, steps=25)  # four epochs of 50 samples
    skipped = [skip for batch in batches for skip in batch.skipped]
    assert len(skipped) == 4
    assert len({skip.uid for skip in skipped}) == 1
    assert skipped[0].shard == "shard-000000.tar"
    assert all(len(batch) == 8 for batch in batches)


def test_patterns(folder):
    names = [f"shard-{n:06d}.tar" for n in range(4)]
    assert expand_pattern(str(folder)) == [str(folder / name) for name in names]
    assert expand_pattern(f"{folder}/shard-{{000000..000003}}.tar") == expand_pattern(str(folder))
    assert expand_pattern(f"{folder}/*.tar") == expand_pattern(str(folder))
    with pytest.raises(DataError, match="no shard matches"):
        expand_pattern(f"{folder}/nothing-*.tar")


def test_missing_shard_is_named(tmp_path):
    with pytest.raises(DataError, match=r"missing\.tar"):
        PairShards([str(tmp_path / "missing.tar")])
