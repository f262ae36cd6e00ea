"""A frame index saves work and is never believed: a wrong one still gives the right frames."""

import dataclasses
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest

from data_pipelines.errors import BadSampleError
from data_pipelines.video import access as access_module
from data_pipelines.video.frame_index import FrameIndex
from data_pipelines.video.reader import VideoReader, make_index
from data_pipelines.video.sampler import FrameSampling
from tests.support.videos import encoded, number_shown

pytest.importorskip("av")

NUM_FRAMES = 48
KINDS = {
    "mp4": encoded("mp4", "libx264", options={"g": "12", "bf": "3"}),
    "mkv": encoded("matroska", "libx264", options={"g": "12", "bf": "3"}),
    "avi": encoded("avi", "msmpeg4", options={"g": "12"}),
    "mpg": encoded("vob", "mpeg2video", options={"g": "12", "bf": "2"}),
}


def _shown(frames):
    return [number_shown(frame) for frame in frames]


def _index(kind):
    return FrameIndex.from_bytes(make_index(KINDS[kind]))


def _changed(index, **columns):
    return dataclasses.replace(index, table=dataclasses.replace(index.table, **columns))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_stored_comes_back(kind):
    with VideoReader.open(KINDS[kind]) as reader:
        made = reader.make_index()
    stored = made.to_bytes()
    read = FrameIndex.from_bytes(stored)
    assert len(stored) < 600
    for name in ("packets", "pts", "keys"):
        np.testing.assert_array_equal(getattr(read.table, name), getattr(made.table, name))
    np.testing.assert_array_equal(read.table.dts[read.table.keys], made.table.dts[made.table.keys])
    for name in ("end", "time_base", "num_packets", "is_timed", "is_decoded"):
        assert getattr(read.table, name) == getattr(made.table, name)
    assert (read.width, read.height, read.digest) == (64, 48, made.digest)
    assert read.to_bytes() == stored


@pytest.mark.parametrize("kind", KINDS)
def test_it_spares_the_pass_over_the_packets(kind, monkeypatch):
    index = _index(kind)

    def never(*_):
        raise AssertionError("all packets are read")

    monkeypatch.setattr(access_module, "read_packets", never)
    monkeypatch.setattr(access_module, "scan", never)
    with VideoReader.open(KINDS[kind], index=index) as reader:
        assert _shown(reader.frames([40, 3, 17])) == [40, 3, 17]
        assert (reader.uses_index, reader.was_redone) == (True, False)


def test_of_another_video_is_not_used():
    other = encoded("mp4", "libx264", options={"g": "6"})
    with VideoReader.open(other, index=make_index(KINDS["mp4"])) as reader:
        assert not reader.uses_index
        assert _shown(reader.frames([5])) == [5]


@pytest.mark.parametrize("kind", KINDS)
def test_every_lie_is_found_out(kind):
    index = _index(kind)
    table = index.table
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(table.packets)
    lies = {
        "later times": {"pts": table.pts + 1},
        "other times": {"pts": np.arange(NUM_FRAMES) * 7, "end": 7 * NUM_FRAMES},
        "all frames are keys": {"keys": np.ones(NUM_FRAMES, dtype=bool)},
        "no frame is a key": {"keys": np.zeros(NUM_FRAMES, dtype=bool)},
        "other keys": {"keys": np.roll(table.keys, 5)},
        "other packets": {"packets": shuffled},
        "packets in order": {"packets": np.arange(NUM_FRAMES)},
        "another clock": {"time_base": Fraction(1, 1001)},
        "more packets": {"packets": table.packets + 3, "num_packets": NUM_FRAMES + 3},
        "more frames": {
            "packets": np.append(table.packets, NUM_FRAMES),
            "pts": np.append(table.pts, table.end),
            "keys": np.append(table.keys, False),
            "dts": np.append(table.dts, table.end),
            "end": 2 * table.end,
            "num_packets": NUM_FRAMES + 1,
        },
    }
    for name, columns in lies.items():
        wrong = _changed(index, **columns)
        for numbers in ([0], [47], [13, 40, 21], list(range(NUM_FRAMES))):
            with VideoReader.open(KINDS[kind], index=wrong) as reader:
                assert _shown(reader.frames(numbers)) == numbers, name
        with VideoReader.open(KINDS[kind], index=wrong) as reader:
            numbers, frames = reader.sample(FrameSampling(num_frames=16))
            assert _shown(frames) == numbers == sorted(set(numbers)), name


def test_other_sizes_and_turns_are_corrected_by_the_first_frame():
    for lie in ({"width": 10}, {"height": 1 << 30}, {"quarters": 1}, {"is_mirrored": True}):
        index = dataclasses.replace(_index("mp4"), **lie)
        with VideoReader.open(KINDS["mp4"], index=index) as reader:
            assert reader.frames([2]).shape == (1, 48, 64, 3)
            assert (reader.info.width, reader.info.rotation) == (64, 0)


def test_damaged_ones_are_refused_or_give_the_right_frames():
    stored = make_index(KINDS["mp4"])
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(stored)
        for place in rng.integers(0, len(stored), int(rng.integers(1, 4))):
            damaged[place] ^= 1 << int(rng.integers(8))
        with VideoReader.open(KINDS["mp4"], index=bytes(damaged)) as reader:
            if len(reader) > 30:
                assert _shown(reader.frames([30])) == [30]


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"VLFRAMES",
        make_index(KINDS["mp4"])[:-1],
        make_index(KINDS["mp4"]).replace(b"VLFRAMES\1", b"VLFRAMES\2"),
        make_index(KINDS["mp4"])[:100] + zlib.compress(bytes(1 << 24)),
    ],
)
def test_broken_ones_have_one_line(stored):
    with pytest.raises(BadSampleError, match="broken frame index") as told:
        FrameIndex.from_bytes(stored)
    assert "\n" not in str(told.value)
    with VideoReader.open(KINDS["mp4"], index=stored) as reader:
        assert not reader.uses_index
        assert _shown(reader.frames([7])) == [7]


def test_counts_are_bounded_before_memory_is_taken():
    stored = bytearray(make_index(KINDS["mp4"]))
    place = stored.index(struct.pack("<III", 64, 48, NUM_FRAMES)) + 8
    stored[place : place + 4] = struct.pack("<I", 2**32 - 1)
    with pytest.raises(BadSampleError, match="broken frame index"):
        FrameIndex.from_bytes(bytes(stored))
