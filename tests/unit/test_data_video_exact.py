"""Frame i is the i-th of a decode from the start, in every container, by every way to it."""

import functools

import numpy as np
import pytest

from data_pipelines.video.reader import VideoReader, make_index
from data_pipelines.video.sampler import FrameSampling, choose_frames
from tests.support.videos import decoded_from_start, encoded, number_shown

pytest.importorskip("av")

NUM_FRAMES = 48
X264 = {"g": "12", "bf": "3"}
OPEN_GROUPS = {"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}
INTRA_REFRESH = {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}
X265 = {"x265-params": "keyint=12:bframes=3:open-gop=1:log-level=none:pools=none"}
MPEG = {"g": "12", "bf": "2"}
HIDDEN = {"g": "24", "auto-alt-ref": "1", "lag-in-frames": "12", "b": "100k"}

CASES = {
    "mp4 h264": ("mp4", "libx264", X264),
    "mp4 h264 open groups": ("mp4", "libx264", OPEN_GROUPS),
    "mkv h264 open groups": ("matroska", "libx264", OPEN_GROUPS),
    "mkv h264 intra refresh": ("matroska", "libx264", INTRA_REFRESH),
    "mp4 h264 in fragments": ("mp4", "libx264", X264 | {"movflags": "frag_keyframe+empty_moov"}),
    "mp4 h264 interlaced": ("mp4", "libx264", X264 | {"x264-params": "interlaced=1"}),
    "mov prores": ("mov", "prores", {}, "yuv422p10le"),
    "mp4 hevc": ("mp4", "libx265", X265),
    "mp4 av1": ("mp4", "libsvtav1", {"g": "12", "preset": "11"}),
    "mp4 mpeg4": ("mp4", "mpeg4", MPEG),
    "mkv ffv1": ("matroska", "ffv1", {}),
    "mkv mpeg2": ("matroska", "mpeg2video", MPEG),
    "webm vp8, hidden frames": ("webm", "libvpx", HIDDEN),
    "webm vp9, hidden frames": ("webm", "libvpx-vp9", HIDDEN),
    "avi h264, no times of showing": ("avi", "libx264", X264),
    "avi h264, no B-frames": ("avi", "libx264", {"g": "12", "bf": "0"}),
    "avi mpeg4": ("avi", "mpeg4", MPEG),
    "avi msmpeg4": ("avi", "msmpeg4", {"g": "12"}),
    "avi vp8, hidden frames": ("avi", "libvpx", HIDDEN),
    "avi cinepak, no marks at key frames": ("avi", "cinepak", {}, "rgb24"),
    "asf wmv2": ("asf", "wmv2", {"g": "12"}),
    "flv h264": ("flv", "libx264", X264),
    "program stream mpeg2": ("vob", "mpeg2video", MPEG),
    "program stream mpeg1": ("mpeg", "mpeg1video", MPEG),
    "transport stream mpeg2": ("mpegts", "mpeg2video", MPEG),
    "transport stream h264": ("mpegts", "libx264", X264),
    "raw mpeg1": ("mpeg1video", "mpeg1video", MPEG),
    "raw h264": ("h264", "libx264", X264),
    "rm rv20": ("rm", "rv20", {"g": "12"}),
    "gif": ("gif", "gif", {}, "rgb8"),
    "nut h264": ("nut", "libx264", X264),
}

#: Their containers cannot be relied on: frames are counted by decoding.
DECODED_FIRST = {
    "avi h264, no times of showing",
    "avi h264, no B-frames",
    "avi mpeg4",
    "program stream mpeg2",
    "program stream mpeg1",
    "transport stream mpeg2",
    "transport stream h264",
    "raw mpeg1",
    "raw h264",
    "rm rv20",
    "gif",
    "nut h264",
}


@functools.cache
def encoded_case(name):
    import av

    container, codec, options, *rest = CASES[name]
    try:
        av.codec.Codec(codec, "w")
    except ValueError:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    return encoded(
        container, codec, options=options, num_frames=NUM_FRAMES, pix_fmt=(*rest, "yuv420p")[0]
    )


@pytest.mark.parametrize("name", CASES)
def test_frames_are_those_of_a_decode_from_the_start(name):
    data = encoded_case(name)
    expected = decoded_from_start(data)
    assert [number_shown(frame) for frame in expected] == list(range(NUM_FRAMES))
    rng = np.random.default_rng(0)
    index = make_index(data)
    for stored in (None, index):
        for size in (1, 2, 8):
            with VideoReader.open(data, index=stored) as reader:
                assert len(reader) == NUM_FRAMES
                for _ in range(2):  # one reader, several questions, in any order
                    numbers = rng.integers(0, NUM_FRAMES, size).tolist()
                    frames = reader.frames(numbers)
                    assert [number_shown(frame) for frame in frames] == numbers
                    for frame, number in zip(frames, numbers, strict=True):
                        np.testing.assert_array_equal(frame, expected[number])
                assert reader.uses_index == (stored is not None)
                assert not reader.was_redone or "cinepak" in name


@pytest.mark.parametrize("name", CASES)
def test_every_frame_alone_and_all_at_once(name):
    data = encoded_case(name)
    with VideoReader.open(data) as reader:
        assert reader._access.table.is_decoded == (name in DECODED_FIRST)
        every = reader.frames(range(NUM_FRAMES))
        assert [number_shown(frame) for frame in every] == list(range(NUM_FRAMES))
        for number in range(0, NUM_FRAMES, 5):
            np.testing.assert_array_equal(reader.frames([number])[0], every[number])


@pytest.mark.parametrize("name", CASES)
def test_sampled_frames_are_those_that_the_rule_chooses(name):
    data = encoded_case(name)
    with VideoReader.open(data) as reader:
        starts, duration = reader.starts, reader.info.duration
    for sampler, span in (("segments", None), ("time", None), ("uniform", (0.3, 1.2))):
        sampling = FrameSampling(sampler=sampler, num_frames=4)
        with VideoReader.open(data) as reader:
            numbers, frames = reader.sample(sampling, span=span)
        assert numbers == choose_frames(starts, duration, sampling, span=span)
        assert [number_shown(frame) for frame in frames] == numbers


def test_packets_without_frames_do_not_count():
    """The stream begins amid a group of pictures: some packets give nothing."""
    whole = encoded("mpegts", "libx264", options=X264)
    data = whole[188 * 20 :]
    expected = decoded_from_start(data)
    assert 8 < len(expected) < NUM_FRAMES
    with VideoReader.open(data) as reader:
        numbers, frames = reader.sample(FrameSampling(num_frames=4))
        assert len(reader) == len(expected)
    for number, frame in zip(numbers, frames, strict=True):
        np.testing.assert_array_equal(frame, expected[number])


def test_frames_that_are_not_there_are_an_error():
    with VideoReader.open(encoded("mp4", "mpeg4", num_frames=5)) as reader:
        for number in (5, -1, 1 << 40):
            with pytest.raises(IndexError, match="of 5 frames"):
                reader.frames([0, number])
        assert reader.frames([]).shape == (0, 48, 64, 3)
        assert reader.frames([4, 4, 0]).shape == (3, 48, 64, 3)


def test_a_file_by_its_path(tmp_path):
    path = tmp_path / "clip.mkv"
    path.write_bytes(encoded("matroska", "mpeg4", num_frames=5))
    with VideoReader.open(path) as reader:
        assert [number_shown(frame) for frame in reader.frames([3, 1])] == [3, 1]


@pytest.mark.parametrize("name", CASES)
def test_parts_are_what_is_sampled_at_once(name):
    data = encoded_case(name)
    for sampler, span in (("segments", None), ("mirrored", (0.3, 1.2))):
        sampling = FrameSampling(sampler=sampler, num_frames=11)
        with VideoReader.open(data) as reader:
            numbers, expected = reader.sample(sampling, span=span)
        with VideoReader.open(data) as reader:
            found = {}
            for part in reader.sample_in_parts(sampling, most=4, span=span):
                assert part.numbers == numbers
                found |= dict(enumerate(part.frames, start=part.first))
        np.testing.assert_array_equal(np.stack([found[i] for i in range(11)]), expected)
