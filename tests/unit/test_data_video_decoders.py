"""Other decoders give the same frames, and what they give is checked."""

import sys
import types

import numpy as np
import pytest

from data_pipelines.video.reader import VideoReader, make_index
from tests.support.videos import encoded, number_shown

pytest.importorskip("av")

KINDS = {
    "mp4": encoded("mp4", "libx264", options={"g": "12", "bf": "3"}),
    "webm": encoded("webm", "libvpx-vp9", options={"g": "12"}),
    "mpg": encoded("vob", "mpeg2video", options={"g": "12", "bf": "2"}),  # decord: frame i + 12
    "ts": encoded("mpegts", "mpeg2video", options={"g": "12", "bf": "2"}),
    "turned": encoded("mp4", "libx264", options={"g": "12"}, rotation=180),
}


@pytest.mark.parametrize("decoder", ["decord", "torchcodec"])
@pytest.mark.parametrize("kind", KINDS)
def test_other_decoders_give_the_same_frames(decoder, kind):
    pytest.importorskip(decoder, exc_type=ImportError)
    numbers = [40, 3, 17, 3]
    with VideoReader.open(KINDS[kind]) as reader:
        expected = reader.frames(numbers)
    if kind != "turned":
        assert [number_shown(frame) for frame in expected] == numbers
    for index in (None, make_index(KINDS[kind])):
        with VideoReader.open(KINDS[kind], decoder=decoder, index=index) as reader:
            np.testing.assert_allclose(reader.frames(numbers), expected, atol=2)


class _Tensor:
    def __init__(self, values):
        self.values = np.asarray(values)

    def numpy(self):
        return self.values


def _torchcodec(monkeypatch, *, length, shift):
    """A decoder that says of its frames that they are shown later than those asked for."""

    class VideoDecoder:
        def __init__(self, *_, seek_mode, **__):
            assert seek_mode == "exact"

        def __len__(self):
            return length

        def get_frames_at(self, numbers):
            times = _Tensor([(number + shift) / 25 for number in numbers])
            frames = _Tensor(np.zeros((len(numbers), 48, 64, 3), dtype=np.uint8))
            return types.SimpleNamespace(data=frames, pts_seconds=times)

    package, module = types.ModuleType("torchcodec"), types.ModuleType("torchcodec.decoders")
    module.VideoDecoder = VideoDecoder
    package.decoders = module
    monkeypatch.setitem(sys.modules, "torchcodec", package)
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", module)


@pytest.mark.parametrize(
    ("length", "shift", "is_right"), [(48, 0, True), (48, 1, False), (47, 0, False)]
)
def test_frames_with_other_times_are_decoded_again(monkeypatch, length, shift, is_right):
    _torchcodec(monkeypatch, length=length, shift=shift)
    with VideoReader.open(KINDS["mp4"], decoder="torchcodec") as reader:
        frames = reader.frames([30, 2])
        assert reader.was_redone != is_right
        if is_right:
            assert not frames.any()  # these were its own
        else:
            assert [number_shown(frame) for frame in frames] == [30, 2]


def test_containers_that_tell_nothing_are_not_given_to_others(monkeypatch):
    _torchcodec(monkeypatch, length=48, shift=0)
    with VideoReader.open(KINDS["mpg"], decoder="torchcodec") as reader:
        assert [number_shown(frame) for frame in reader.frames([30, 2])] == [30, 2]
        assert not reader.was_redone
