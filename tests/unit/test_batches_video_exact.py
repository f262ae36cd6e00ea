"""Frames that are asked for are the frames that come back, or there are none."""

import io
import itertools
import sys

import numpy as np
import pytest
from PIL import Image

from data_pipelines.shards.index import ShardIndex
from tests.support.shards import SHARED_DATA, needs_shared_data
from vlsuite.batches.video import VideoDecoder, VideoLimits
from vlsuite.batches.video_process import RefusalError, _refuse_inexact, _span, _starts, decode
from vlsuite.cli.tiny_video import tiny_video
from vlsuite.errors import BadSampleError, ConfigError

CLIP = tiny_video(num_frames=12, side=32)


class _Reader:
    """As decord's, with these times."""

    def __init__(self, *starts):
        self._starts = starts

    def __len__(self):
        return len(self._starts)

    def get_frame_timestamp(self, numbers):
        return np.array([[self._starts[i], 0] for i in numbers], dtype=np.float32)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("MPEG-1 program stream", b"\0\0\1\xba\x21\0\1\0"),
        ("MPEG-2 program stream", b"\0\0\1\xba\x44\0\4\0"),
        ("MPEG video", b"\0\0\1\xb3\x0b\0\x90\x12"),
        ("H.264", b"\0\0\0\1\x67\x42\0\x1e"),
        ("transport stream", b"\x47\x40\0\x10\0\0\xb0\x0d"),
        ("ASF", b"0&\xb2u\x8ef\xcf\x11"),
        ("Ogg", b"OggS\0\2\0\0"),
    ],
)
def test_containers_whose_frames_are_others_are_refused(name, start):
    with pytest.raises(RefusalError) as told:
        _refuse_inexact(start + bytes(500))
    assert told.value.args[0] == "container without exact frames", name


@pytest.mark.parametrize(
    ("starts", "kind"),
    [
        ((0.0, 0.1, 0.1), "time stamps out of order"),
        ((0.0, 0.2, 0.1), "time stamps out of order"),
        ((-1e14, 0.0, 0.1), "time stamps without sense"),
        ((0.0, float("nan")), "time stamps without sense"),
        ((), "no frames"),
    ],
)
def test_time_stamps_that_cannot_be_trusted_are_refused(starts, kind):
    with pytest.raises(RefusalError) as told:
        _starts(_Reader(*starts))
    assert told.value.args[0] == kind


def test_seconds_go_by_time_stamps_where_frames_were_dropped():
    """Ten frames a second, of which frames 3 to 12 are gone: the average rate is 5 a second."""
    starts = _starts(_Reader(*(5 + 0.1 * n for n in range(20) if not 3 <= n < 13)))
    assert _span(starts, {"seconds": (0.0, 0.3)}) == (0, 3)
    assert _span(starts, {"seconds": (1.4, 1.7)}) == (4, 7)
    assert _span(starts, {"seconds": (0.5, 1.4)}) == (2, 4)  # frame 2 is still shown
    assert _span(starts, {"seconds": None}) == (0, 10)
    with pytest.raises(RefusalError, match="no frames"):
        _span(starts, {"seconds": (2.1, 3.0)})


def test_a_machine_without_the_reader_says_so_once_and_not_of_the_videos(tmp_path, monkeypatch):
    (tmp_path / "decord.py").write_text("raise ImportError('libavcodec.so.58 is missing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with VideoDecoder(VideoLimits(seconds=10.0)) as decoder:
        for attempt in (decoder.check, lambda: decoder.decode(CLIP, num_frames=2)):
            with pytest.raises(ConfigError, match=r"cannot read videos.*libavcodec") as told:
                attempt()
            assert not isinstance(told.value, BadSampleError)
            assert "\n" not in str(told.value)


def test_a_machine_with_the_reader_passes_the_check():
    pytest.importorskip("decord")
    with VideoDecoder(VideoLimits(seconds=10.0)) as decoder:
        decoder.check()
        assert decoder.decode(CLIP, num_frames=2).shape == (2, 3, 32, 32)


def _nearest(frame, thumbnails):
    small = Image.fromarray(frame).resize((24, 24), Image.Resampling.BOX)
    return int(((thumbnails - np.asarray(small, dtype=np.float32)) ** 2).mean((1, 2, 3)).argmin())


@needs_shared_data
@pytest.mark.skipif(sys.platform != "linux", reason="decord's wheels")
def test_real_videos_give_the_frames_asked_for_or_are_refused():
    index = ShardIndex.open(SHARED_DATA / "videos-000000.tar")
    refused, exact = [], []
    for i in range(len(index)):
        if "thumbs.npy" not in index.suffixes(i):
            continue
        members = index.read(i)
        (suffix,) = members.keys() & {"mp4", "webm", "mkv", "mov", "avi", "mpg"}
        thumbnails = np.load(io.BytesIO(members["thumbs.npy"])).astype(np.float32)
        job = {"draws": [None] * 4, "seconds": None, "max_pixels": 1 << 26, "max_frames": 10_000}
        try:
            frames = decode(members[suffix], job)
        except RefusalError as refusal:
            refused.append((index.key(i), refusal.args[0]))
            continue
        bounds = np.linspace(0, len(thumbnails), 5).astype(int).tolist()
        wanted = [(a + b - 1) // 2 for a, b in itertools.pairwise(bounds)]
        assert [_nearest(frame, thumbnails) for frame in frames] == wanted, index.key(i)
        exact.append(index.key(i))
    assert refused == [("orig-city", "container without exact frames")]
    assert len(exact) == 4
