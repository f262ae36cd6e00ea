"""Ways to get frames of a video by number: ours, and those of the programs around."""

import importlib.util
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from data_pipelines.video.reader import VideoReader
from data_pipelines.video.sampler import FrameSampling, segment_frames

#: Encoded bytes and how many frames to the numbers of the frames asked for, and their pixels.
Side = Callable[[bytes, int], tuple[list[int], Sequence[np.ndarray]]]


def ours(data: bytes, num_frames: int) -> tuple[list[int], Sequence[np.ndarray]]:
    """The default reader."""
    with VideoReader.open(data) as reader:
        numbers, frames = reader.sample(FrameSampling(num_frames=num_frames))
        return numbers, list(frames)


def ours_indexed(index: bytes) -> Side:
    """The default reader with a stored frame index."""

    def side(data: bytes, num_frames: int) -> tuple[list[int], Sequence[np.ndarray]]:
        with VideoReader.open(data, index=index) as reader:
            numbers, frames = reader.sample(FrameSampling(num_frames=num_frames))
            return numbers, list(frames)

    return side


def pyav_sequential(data: bytes, num_frames: int) -> tuple[list[int], Sequence[np.ndarray]]:
    """PyAV: count the packets, then decode from the start to the last frame wanted."""
    import av

    with av.open(io.BytesIO(data), "r") as container:
        total = sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))
    numbers = segment_frames(total, num_frames)
    found = {}
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number in numbers:
                found[number] = frame.to_ndarray(format="rgb24", threads=1)
            if number >= numbers[-1]:
                break
    return numbers, [found[number] for number in numbers]


def pyav_seek_each(data: bytes, num_frames: int) -> tuple[list[int], Sequence[np.ndarray]]:
    """PyAV: for each frame seek to its time by the average rate, then decode until it comes."""
    import av

    with av.open(io.BytesIO(data), "r") as container:
        stream: Any = container.streams.video[0]
        total = sum(packet.size > 0 for packet in container.demux(stream))
    numbers = segment_frames(total, num_frames)
    frames = []
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        step = 1 / (stream.average_rate * stream.time_base)
        for number in numbers:
            moment = (stream.start_time or 0) + round(number * step)
            container.seek(moment, stream=stream, backward=True)
            frames.append(_first_from(container, stream, moment, step))
    return numbers, frames


def _first_from(container: Any, stream: Any, moment: int, step: Any) -> np.ndarray:
    last = None
    for frame in container.decode(stream):
        last = frame
        if frame.pts is not None and frame.pts > moment - step / 2:
            break
    assert last is not None
    return last.to_ndarray(format="rgb24", threads=1)


def torchcodec_exact(data: bytes, num_frames: int) -> tuple[list[int], Sequence[np.ndarray]]:
    """torchcodec's exact mode, one thread."""
    from torchcodec.decoders import VideoDecoder  # pyright: ignore[reportMissingImports]

    decoder = VideoDecoder(data, num_ffmpeg_threads=1, dimension_order="NHWC", seek_mode="exact")
    numbers = segment_frames(len(decoder), num_frames)
    return numbers, list(decoder.get_frames_at(numbers).data.numpy())


def decord(data: bytes, num_frames: int) -> tuple[list[int], Sequence[np.ndarray]]:
    """decord, one thread."""
    import decord

    reader = decord.VideoReader(io.BytesIO(data), num_threads=1)
    numbers = segment_frames(len(reader), num_frames)
    return numbers, list(reader.get_batch(numbers).asnumpy())


def peers() -> dict[str, Side | None]:
    """Other ways than ours; None for those that are absent here."""
    return {
        "decord": decord if _imports("decord") else None,
        "torchcodec_exact": torchcodec_exact if _imports("torchcodec.decoders") else None,
        "pyav_seek_each": pyav_seek_each,
        "pyav_sequential": pyav_sequential,
    }


def _imports(name: str) -> bool:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        return False
    try:
        importlib.import_module(name)
    except (ImportError, OSError, RuntimeError):
        return False
    return True
