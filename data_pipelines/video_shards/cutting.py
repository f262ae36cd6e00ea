"""A span of a video as a video of its own: the frames of the span, coded anew, without sound."""

import io
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
from jaxtyping import UInt8

from data_pipelines.errors import DataError
from data_pipelines.motion.encoding import to_yuv420
from data_pipelines.video.info import VideoInfo
from data_pipelines.video.opening import require_av
from data_pipelines.video.process import VideoProcess
from data_pipelines.video.sampler import frames_of_span

#: H.264 that is hard to tell from its original by eye; a key frame a second or so. A constant
#: quantiser, because x264 chooses others in every run where it looks ahead (crf with mbtree).
CODING = {"codec": "libx264", "qp": "18", "preset": "veryfast", "g": "30", "threads": "1"}

_TICKS = 90_000  # a second
_PIECE = 1 << 28  # bytes of frames decoded at once


def cut_out(
    process: VideoProcess,
    data: bytes,
    info: VideoInfo,
    span: tuple[float, float | None],
    *,
    index: bytes = b"",
) -> bytes:
    """An mp4 with every frame of a span, shown at the same distances of time, upright.

    A last row or column is left out where a side is odd, as H.264 needs. Equal input gives equal
    bytes with equal libraries.

    Args:
        info: of the video.
        span: start and end in seconds from the first frame.
        index: of the video's frames, if there is one.
    Raises:
        BadSampleError: no frame is shown in the span, or the video cannot be decoded.
        DataError: this PyAV has no encoder of H.264.
    """
    first, after = frames_of_span(info.starts, info.duration, span)
    ticks = np.round((info.starts[first:after] - info.starts[first]) * _TICKS).astype(int)
    step = max(1, _PIECE // (3 * info.width * info.height))

    def frames() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        for start in range(first, after, step):
            numbers = range(start, min(start + step, after))
            yield from process.frames(data, numbers, index=index)

    return _encoded(frames(), ticks.tolist(), (info.width // 2 * 2, info.height // 2 * 2))


def _encoded(
    frames: Iterator[UInt8[np.ndarray, "height width 3"]],
    ticks: list[int],
    size: tuple[int, int],
) -> bytes:
    av = require_av()
    if CODING["codec"] not in av.codecs_available:
        raise DataError(
            "this PyAV has no encoder libx264, which --cut needs; install PyAV from a wheel"
        )
    width, height = size
    stream_of_bytes = io.BytesIO()
    with av.open(stream_of_bytes, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        options = {name: value for name, value in CODING.items() if name != "codec"}
        stream = container.add_stream(CODING["codec"], rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, _TICKS)
        for pixels, tick in zip(frames, ticks, strict=True):
            (planes,) = to_yuv420(pixels[None, :height, :width])
            picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            picture.pts, picture.time_base = tick, Fraction(1, _TICKS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return stream_of_bytes.getvalue()
