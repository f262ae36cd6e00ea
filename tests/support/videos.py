"""Small real videos, encoded here, whose every frame shows its own number."""

import io
from fractions import Fraction
from typing import Any

import numpy as np

_BLOCK = 16  # pixels of one bit
_BITS = 8

#: Width and height of every frame.
SIZE = (64, 48)


def numbered_picture(number: int) -> np.ndarray:
    """A frame with the bits of its number as light and dark blocks, over a moving slope."""
    width, height = SIZE
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    slope = (3 * x + 2 * y + 5 * number) % 64
    picture = np.stack([slope + 96, 160 - slope, slope // 2 + 64], axis=-1)
    for bit in range(_BITS):
        row, column = divmod(bit, width // _BLOCK)
        block = np.s_[row * _BLOCK : (row + 1) * _BLOCK, column * _BLOCK : (column + 1) * _BLOCK]
        picture[block] = 230 if number >> bit & 1 else 25
    return picture.astype(np.uint8)


def number_shown(picture: np.ndarray) -> int:
    """The number that a decoded frame shows."""
    width = SIZE[0]
    number = 0
    for bit in range(_BITS):
        row, column = divmod(bit, width // _BLOCK)
        top, left = row * _BLOCK + 4, column * _BLOCK + 4
        number |= int(picture[top : top + 8, left : left + 8].mean() > 128) << bit
    return number


def encoded(
    container: str,
    codec: str,
    *,
    options: dict[str, str] | None = None,
    num_frames: int = 48,
    pix_fmt: str = "yuv420p",
    rate: int = 25,
    times: list[int] | None = None,
    rotation: int = 0,
) -> bytes:
    """A video.

    Args:
        container: FFmpeg's muxer.
        times: of the frames in milliseconds; None is one frame each 1/rate seconds.
        rotation: degrees clockwise that a player has to turn frames by.
    """
    import av

    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as output:
        video: Any = output.add_stream(codec, rate=rate, options=options or {})
        video.width, video.height = SIZE
        video.pix_fmt = pix_fmt
        base = Fraction(1, rate) if times is None else Fraction(1, 1000)
        video.codec_context.time_base = base
        video.codec_context.thread_count = 1
        if rotation:
            video.set_display_rotation(-rotation)
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number), format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = base
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return stream.getvalue()


def decoded_from_start(data: bytes) -> list[np.ndarray]:
    """Every frame by PyAV alone, one after the other, as stored."""
    import av

    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return [frame.to_ndarray(format="rgb24", threads=1) for frame in container.decode(stream)]
