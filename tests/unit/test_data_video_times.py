"""Times, spans and rotation are the container's, whatever the frame rate does."""

import struct

import numpy as np
import pytest

from data_pipelines.errors import BadSampleError
from data_pipelines.video.pixels import Upright
from data_pipelines.video.reader import VideoReader, make_index
from data_pipelines.video.sampler import FrameSampling, frames_of_span, sample_frames
from data_pipelines.video.table import FrameTable
from tests.support.videos import decoded_from_start, encoded, number_shown

pytest.importorskip("av")

TIMES = [0, 40, 80, 200, 240, 500, 540, 1000, 1040, 1500]  # milliseconds
CODECS = {"mp4": "mpeg4", "matroska": "libx264", "webm": "libvpx-vp9", "mov": "libx264"}


def _shown(frames):
    return [number_shown(frame) for frame in frames]


@pytest.mark.parametrize("container", CODECS)
@pytest.mark.parametrize("offset", [0, 3000])
def test_times_count_from_the_first_frame_and_follow_the_packets(container, offset):
    data = encoded(
        container,
        CODECS[container],
        options={"g": "4"},
        num_frames=len(TIMES),
        times=[offset + time for time in TIMES],
    )
    index = make_index(data)
    for stored in (None, index):
        with VideoReader.open(data, index=stored) as reader:
            info = reader.info
            assert info.start == offset / 1000
            np.testing.assert_allclose(info.starts, np.array(TIMES) / 1000, atol=1e-3)
            assert info.is_timed
            assert info.duration == pytest.approx(1.54, abs=2e-3)
            assert info.fps == pytest.approx(10 / 1.54, rel=1e-2)
            moments = [-1.0, 0.0, 0.05, 0.199, 0.2001, 0.49, 0.77, 1.2, 1.6, 99.0]
            assert _shown(reader.frames_at(moments)) == [0, 0, 1, 2, 3, 4, 6, 8, 9, 9]
            span = sample_frames(info, 3, span=(0.3, 1.02))
            assert span.numbers == [4, 5, 6]
            assert _shown(reader.frames(span.numbers)) == [4, 5, 6]
            # Equal stretches of time: middles at 0.1925 s, 0.5775 s, 0.9625 s and 1.3475 s.
            assert sample_frames(info, 4, "time").numbers == [2, 6, 6, 8]


@pytest.mark.parametrize("container", ["mpegts", "vob"])
def test_streams_that_start_late(container):
    data = encoded(container, "mpeg2video", options={"g": "12", "bf": "2"})
    with VideoReader.open(data) as reader:
        assert reader.info.start > 0
        assert reader.info.starts[0] == 0
        assert _shown(reader.frames_at([0.0, 0.4, 1.0])) == [0, 10, 25]


def test_streams_without_times_are_counted_by_their_rate():
    data = encoded("h264", "libx264", options={"g": "12", "bf": "2"})
    with VideoReader.open(data) as reader:
        assert not reader.info.is_timed
        assert _shown(reader.frames_at([0.0, 0.4, 1.0])) == [0, 10, 25]


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("container", ["mp4", "matroska"])
def test_frames_are_turned_upright(container, rotation):
    data = encoded(container, "mpeg4", num_frames=6, rotation=rotation)
    stored = decoded_from_start(data)
    for index in (None, make_index(data)):
        with VideoReader.open(data, index=index) as reader:
            assert (reader.info.rotation, reader.info.is_mirrored) == (rotation, False)
            size = (48, 64) if rotation % 180 else (64, 48)
            assert (reader.info.width, reader.info.height) == size
            for frame, number in zip(reader.frames([4, 0]), (4, 0), strict=True):
                np.testing.assert_array_equal(frame, np.rot90(stored[number], -rotation // 90))


def _with_matrix(data, a, b, c, d):
    """An MP4 whose track header has this matrix (16.16 fixed point) instead of identity."""
    one = 1 << 16
    identity = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    place = data.index(identity, data.index(b"tkhd"))
    matrix = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    return data[:place] + matrix + data[place + len(matrix) :]


@pytest.mark.parametrize(
    "matrix",
    [
        (a, b, c, d)
        for a, b, c, d in np.ndindex(3, 3, 3, 3)
        if sorted((abs(a - 1), abs(b - 1), abs(c - 1), abs(d - 1))) == [0, 0, 1, 1]
        and abs(a - 1) == abs(d - 1)
    ],
)
def test_all_quarter_turns_and_mirrors(matrix):
    """By the definition in ISO/IEC 14496-12 section 8.3.2, pixel by pixel."""
    a, b, c, d = (int(value) - 1 for value in matrix)
    data = _with_matrix(encoded("mp4", "mpeg4", num_frames=2), a, b, c, d)
    stored = decoded_from_start(data)[0]
    height, width, _ = stored.shape
    places = [(a * x + c * y, b * x + d * y) for y in range(height) for x in range(width)]
    left, top = min(x for x, _ in places), min(y for _, y in places)
    shape = (width, height) if a == 0 else (height, width)
    expected = np.zeros((*shape, 3), dtype=np.uint8)
    for (x, y), pixel in zip(places, stored.reshape(-1, 3), strict=True):
        expected[y - top, x - left] = pixel
    with VideoReader.open(data) as reader:
        np.testing.assert_array_equal(reader.frames([0])[0], expected)


def test_other_matrices_leave_frames_as_they_are():
    for matrix in [(1, 1, 1, 1), (0, 0, 0, 0), (2, 0, 0, 1), (1, 0, 1, 0)]:
        upright = Upright(matrix)
        assert (upright.quarters, upright.is_mirrored) == (0, False)


def test_spans_go_by_time_stamps_where_frames_were_dropped():
    """Ten frames a second, of which frames 3 to 12 are gone: the average rate is 5 a second."""
    starts = np.array([0.1 * n for n in range(20) if not 3 <= n < 13])
    assert frames_of_span(starts, 2.0, (0.0, 0.3)) == (0, 3)
    assert frames_of_span(starts, 2.0, (1.4, 1.7)) == (4, 7)
    assert frames_of_span(starts, 2.0, (0.5, 1.4)) == (2, 4)  # frame 2 is still shown
    assert frames_of_span(starts, 2.0, (1.4, None)) == (4, 10)
    assert frames_of_span(starts, 2.0, None) == (0, 10)
    for span in ((2.1, 3.0), (1.0, 0.5), (-1.0, 1.0), (float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(BadSampleError, match="no frames"):
            frames_of_span(starts, 2.0, span)


def test_senseless_times_are_refused():
    with VideoReader.open(encoded("mp4", "mpeg4", num_frames=3)) as reader:
        table = reader._access.table
    far = int(2e7 / table.time_base)
    columns = {name: getattr(table, name) for name in FrameTable.__dataclass_fields__}
    with pytest.raises(BadSampleError, match="time stamps without sense"):
        FrameTable(**columns | {"pts": table.pts + far, "end": table.end + far})


def test_the_rule_is_a_record_that_results_carry():
    record = FrameSampling(sampler="time", num_frames=16, is_random=True).to_json()
    assert record == {"sampler": "time", "num_frames": 16, "is_random": True}
    assert FrameSampling(**record).to_json() == record
