"""The training stream: every sample once an epoch, the same however it is read."""

import gc
import os
import shutil
import signal
import time
from collections import Counter
from itertools import islice

import pytest
import torch

from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from tests.support.shards import picture, write_tar
from tests.support.words import word_tokenizer
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.end_of_text import EndOfText
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.pairs import PairReader
from vlsuite.batches.source_names import source_names
from vlsuite.batches.stream import Place, TrainStream
from vlsuite.batches.transforms import AugmentConfig, TrainTransform
from vlsuite.batches.workers import lost_worker
from vlsuite.errors import ConfigError, DataError, LostContactError

NUM_SAMPLES = 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs") / "shards"
    SyntheticSource(num_samples=NUM_SAMPLES, side=16).build(Target(out_dir=out, max_samples=16))
    return out


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _stream(
    *folders,
    rank=0,
    world_size=1,
    micro=8,
    workers=0,
    seed=0,
    quarantine=None,
    transform=TrainTransform,
    uids="shard",
    **data,
):
    config = DataConfig(train=tuple(str(folder) for folder in folders), num_workers=workers, **data)
    augment = AugmentConfig(crop_scale=(0.3, 1.0), flip_probability=0.5, color_jitter=0.4)
    return TrainStream(
        config,
        PairShards.open(config),
        place=Place(rank=rank, world_size=world_size, global_batch_size=8, micro_batch_size=micro),
        reader=PairReader(
            transform=transform(augment, size=(16, 16), interpolation="bicubic"),
            tokenizer=word_tokenizer(),
            end_of_text=EndOfText() if config.trim_text else None,
            caption=config.caption,
        ),
        seed=seed,
        pin_memory=False,
        quarantine=quarantine,
        uids=uids,
    )


def _batches(*folders, start=0, steps=10, **settings):
    stream = _stream(*folders, **settings)
    return [batch for step in islice(stream.from_position(start), steps) for batch in step]


def _uids(batches):
    return [uid for batch in batches for uid in batch.uids]


def test_every_sample_once_an_epoch_and_none_dropped_at_the_tail(folder):
    uids = _uids(_batches(folder, steps=25))[: 4 * NUM_SAMPLES]
    for epoch in range(4):
        part = uids[epoch * NUM_SAMPLES : (epoch + 1) * NUM_SAMPLES]
        assert set(Counter(part).values()) == {1}
        assert len(part) == NUM_SAMPLES
    assert uids[:NUM_SAMPLES] != uids[NUM_SAMPLES : 2 * NUM_SAMPLES]


def test_samples_without_uids_are_named_by_shard_and_key_or_by_an_old_runs_rule(tmp_path):
    for number in range(2):
        members = []
        for i in range(8):
            members += [(f"{i}.png", picture(8 * number + i)), (f"{i}.txt", b"a circle")]
        write_tar(tmp_path / f"{number}.tar", members)
    assert len(set(_uids(_batches(tmp_path, steps=2)))) == 16
    assert set(_uids(_batches(tmp_path, steps=2, uids="key"))) == {str(i) for i in range(8)}


def test_two_processes_read_what_one_reads(folder):
    one = _batches(folder)
    first, second = (_batches(folder, rank=r, world_size=2, micro=4) for r in (0, 1))
    for whole, left, right in zip(one, first, second, strict=True):
        assert whole.uids == left.uids + right.uids
        assert torch.equal(whole.images, torch.cat([left.images, right.images]))


NARROW = {"window_shards": 2, "window_samples": 12}


def test_narrow_windows_hold_every_sample_once_an_epoch(folder):
    uids = _uids(_batches(folder, steps=25, **NARROW))
    for start in range(0, 4 * NUM_SAMPLES, NUM_SAMPLES):
        assert len(set(uids[start : start + NUM_SAMPLES])) == NUM_SAMPLES
    assert uids != _uids(_batches(folder, steps=25))


@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("workers", [0, 2])
def test_any_number_of_processes_and_workers_continue_anywhere(folder, world_size, workers):
    expected = _uids(_batches(folder, steps=14, **NARROW))[9 * 8 :]
    parts = [
        _batches(
            folder,
            start=9 * 8,
            steps=5,
            rank=rank,
            world_size=world_size,
            micro=8 // world_size,
            workers=workers,
            **NARROW,
        )
        for rank in range(world_size)
    ]
    assert [uid for step in zip(*parts, strict=True) for uid in _uids(step)] == expected


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


def test_four_processes_read_what_one_reads(folder):
    one = _uids(_batches(folder))
    parts = [_batches(folder, rank=rank, world_size=4, micro=2) for rank in range(4)]
    assert [uid for step in zip(*parts, strict=True) for uid in _uids(step)] == one


def test_dropped_tail_ends_the_epoch_at_its_last_whole_batch(folder):
    uids = _uids(_batches(folder, drop_tail=True, steps=12))
    for epoch in (uids[:48], uids[48:]):
        assert len(set(epoch)) == 48
    assert set(uids[:48]) != set(uids[48:])
    with pytest.raises(ConfigError, match="drop_tail"):
        DataConfig(drop_tail=True, resample=True)


def test_weights_are_shares_of_the_samples(folder, tmp_path):
    other = tmp_path / "other"
    SyntheticSource(num_samples=20, side=16, seed=7).build(Target(out_dir=other))
    batches = _batches(folder, other, weights=(3.0, 1.0), steps=50)
    taken = Counter(source for batch in batches for source in batch.sources)
    assert abs(taken[1] - 100) < 30  # of 400; exact in each block of 65,536
    of_second = [
        uid
        for batch in batches
        for uid, source in zip(batch.uids, batch.sources, strict=True)
        if source == 1
    ]
    for start in range(0, len(of_second) - 20, 20):
        assert len(set(of_second[start : start + 20])) == 20
    with pytest.raises(ConfigError, match="1 values for 2 sources"):
        _stream(folder, other, weights=(1.0,))


def test_pooled_sources_are_one_epoch(folder, tmp_path):
    other = tmp_path / "other"
    SyntheticSource(num_samples=14, side=16, seed=7).build(Target(out_dir=other))
    uids = _uids(_batches(folder, other, steps=8))
    assert len(set(uids)) == len(uids) == 64
    assert PairShards([str(folder), str(other)]).source_names == ("shards", "other")


def test_broken_pictures_are_replaced_from_another_batch_and_counted(folder, tmp_path):
    broken = _with_broken_picture(folder, tmp_path)
    batches = _batches(broken, steps=25)  # four epochs of 50 samples
    skipped = [skip for batch in batches for skip in batch.skipped]
    assert len(skipped) == 4
    assert len({skip.uid for skip in skipped}) == 1
    assert skipped[0].shard == "shard-000000.tar"
    assert all(len(batch) == 8 for batch in batches)
    whole = [
        batch
        for number, batch in enumerate(batches)  # those across an epoch's end may repeat a sample
        if batch.skipped and 8 * number // NUM_SAMPLES == (8 * number + 7) // NUM_SAMPLES
    ]
    assert whole
    assert all(len(set(batch.uids)) == 8 for batch in whole)
    again = _batches(broken, steps=25, workers=2)
    assert _uids(again) == _uids(batches)
    assert [batch.skipped for batch in again] == [batch.skipped for batch in batches]


@pytest.mark.parametrize("workers", [0, 1])
def test_policy_raise_is_one_line_from_any_process(folder, tmp_path, workers):
    broken = _with_broken_picture(folder, tmp_path)
    with pytest.raises(DataError) as caught:
        _batches(broken, steps=7, workers=workers, on_bad="raise")
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_policy_quarantine_keeps_a_copy(folder, tmp_path):
    broken = _with_broken_picture(folder, tmp_path)
    _batches(broken, steps=25, on_bad="quarantine", quarantine=tmp_path / "aside")
    assert len(list((tmp_path / "aside").glob("*.tar"))) == 1


def test_policy_raise_refuses_damaged_shards_at_the_start(folder, tmp_path):
    damaged = tmp_path / "shards"
    shutil.copytree(folder, damaged, ignore=shutil.ignore_patterns("*.npz"))
    os.truncate(damaged / "shard-000001.tar", 5000)
    assert "shard-000001.tar" in PairShards([str(damaged)]).problems[0]
    with pytest.raises(DataError, match=r"shard-000001\.tar"):
        PairShards.open(DataConfig(train=(str(damaged),), on_bad="raise"))


def test_shard_with_fewer_samples_than_its_manifest_promises_is_a_problem(folder, tmp_path):
    copy = tmp_path / "shards"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*.npz"))
    assert PairShards([str(copy)]).problems == []
    shutil.copy(copy / "shard-000003.tar", copy / "shard-000001.tar")
    assert "manifest promises 16" in PairShards([str(copy)]).problems[0]


def test_nothing_usable_ends_the_run(folder, tmp_path):
    broken = tmp_path / "shards"
    shutil.copytree(folder, broken, ignore=shutil.ignore_patterns("*.npz"))
    for shard in broken.glob("*.tar"):
        shard.write_bytes(shard.read_bytes().replace(b"\x89PNG", b"nothing"[:4]))
    with pytest.raises(DataError, match="in a row are unusable"):
        _batches(broken, steps=1)


def test_shard_that_vanishes_is_skipped_and_counted(folder, tmp_path):
    copy = tmp_path / "shards"
    shutil.copytree(folder, copy)
    stream = _stream(copy)
    (copy / "shard-000003.tar").unlink()  # two samples
    batches = [batch for step in islice(stream.from_position(0), 6) for batch in step]
    assert {skip.shard for batch in batches for skip in batch.skipped} == {"shard-000003.tar"}
    assert all(len(batch) == 8 for batch in batches)


class _StuckTransform(TrainTransform):
    def view(self, data, rng):
        time.sleep(120)
        return super().view(data, rng)


def test_stalled_worker_is_an_error_that_names_what_it_read(folder):
    stream = _stream(folder, transform=_StuckTransform, workers=1, worker_timeout=1.0)
    started = time.monotonic()
    with pytest.raises(LostContactError, match=r"data\.worker_timeout") as caught:
        next(stream.from_position(0))
    assert time.monotonic() - started < 30
    draw = stream.sequence(0)
    assert f"sample {draw.row} of shard-{draw.shard:06d}.tar" in str(caught.value)
    assert "\n" not in str(caught.value)


class _SlowTransform(TrainTransform):
    def view(self, data, rng):
        time.sleep(0.2)
        return super().view(data, rng)


def test_a_micro_batch_of_very_many_samples_is_told_from_a_slow_storage(folder):
    stream = _stream(folder, transform=_SlowTransform, workers=1, worker_timeout=1.0)
    with pytest.raises(LostContactError, match="the 8 samples of a micro-batch") as caught:
        next(stream.from_position(0))
    assert "lower micro_batch_size" in str(caught.value)
    assert "sample " not in str(caught.value)


def test_worker_that_dies_is_an_error_in_one_line(folder, tmp_path):
    """In a process of its own: the loader raises at any later end of a child, too."""
    gc.collect()  # loaders of other tests are not the child's to close
    child = os.fork()
    if child == 0:
        gc.disable()
        try:
            try:
                told = _error_of_a_killed_worker(folder)
            except RuntimeError as error:  # the handler, once more while the first is told
                told = str(lost_worker(error, timeout=1.0, was_reading="") or error)
            (tmp_path / "error").write_text(told)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    error = (tmp_path / "error").read_text()
    assert "decoding process was lost" in error, error
    assert "\n" not in error


def _error_of_a_killed_worker(folder):
    try:
        steps = _stream(folder, workers=1).from_position(0)
        next(steps)
        os.kill(max(_children()), signal.SIGKILL)
        list(islice(steps, 100))
    except LostContactError as error:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return str(error)
    except RuntimeError as error:  # raised outside the stream by the loader's handler
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        return str(lost_worker(error, timeout=1.0, was_reading="") or error)
    return "no error"


def test_signals_to_the_whole_job_leave_the_workers_at_work(folder):
    before = _children()
    steps = _stream(folder, workers=1).from_position(0)
    first = next(steps)
    worker = max(_children() - before)
    sender = os.fork()
    if sender == 0:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker, number)
        os._exit(0)
    os.waitpid(sender, 0)
    found = [first, *islice(steps, 9)]
    assert _uids([batch for step in found for batch in step]) == _uids(_batches(folder))
    os.kill(worker, signal.SIGTERM)  # from the parent it counts
    deadline = time.monotonic() + 20
    while _is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(worker)


def test_source_names():
    assert source_names(["data/a", "data/b/", "x/one.tar"]) == ("a", "b", "one")
    assert source_names(["s/train-{00..09}.tar", "s/val-*.tar"]) == ("s/train", "s/val")
    assert source_names(["s/train-{00..09}.tar", "t/val-*.tar"]) == ("s", "t")
    assert source_names(["a/c", "b/c"]) == ("c-1", "c-2")


def test_missing_shard_is_named(tmp_path):
    with pytest.raises(DataError, match=r"missing\.tar"):
        PairShards([str(tmp_path / "missing.tar")])


def _with_broken_picture(folder, tmp_path):
    broken = tmp_path / "shards"
    shutil.copytree(folder, broken, ignore=shutil.ignore_patterns("*.npz"))
    shard = broken / "shard-000000.tar"
    data = bytearray(shard.read_bytes())
    start = data.find(b"\x89PNG")
    data[start : start + 8] = b"not a PN"
    shard.write_bytes(bytes(data))
    return broken


def _children():
    own = os.getpid()
    with open(f"/proc/{own}/task/{own}/children") as stream:
        return {number for number in map(int, stream.read().split()) if _is_running(number)}


def _is_running(process):
    try:
        with open(f"/proc/{process}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_each_unusable_sample_counts_once_an_epoch(folder, tmp_path):
    """Also where it was tried as a stand-in: a third of the pictures is broken here."""
    broken = tmp_path / "shards"
    shutil.copytree(folder, broken, ignore=shutil.ignore_patterns("*.npz"))
    bad = broken / "shard-000001.tar"
    bad.write_bytes(bad.read_bytes().replace(b"\x89PNG", b"\x00PNG"))
    batches = _batches(broken, steps=25)  # 200 places: four epochs of 50
    assert sum(len(batch.unusable) for batch in batches) == 4 * 16
    assert sum(len(batch.skipped) for batch in batches) > 4 * 16
