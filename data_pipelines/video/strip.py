"""A video as one picture: some of its frames side by side, for looking at."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from data_pipelines.video.process import VideoProcess


def frame_strip(
    process: VideoProcess,
    video: bytes | Path,
    *,
    num_frames: int,
    height: int,
    columns: int | None = None,
    span: tuple[float, float | None] | None = None,
) -> Image.Image:
    """Frames at equal distances in order of time, in rows.

    Args:
        process: that decodes.
        height: of a frame in the strip, in pixels.
        columns: frames in a row; None puts all into one.
        span: start and end in seconds.
    Raises:
        BadSampleError: see ``VideoProcess``.
    """
    frames = process.sample(video, num_frames, span=span).frames
    width = max(1, round(frames.shape[2] * height / frames.shape[1]))
    columns = columns or num_frames
    rows = -(-num_frames // columns)
    strip = Image.new("RGB", (columns * (width + 1) - 1, rows * (height + 1) - 1), "white")
    for number, frame in enumerate(frames):
        place = (number % columns * (width + 1), number // columns * (height + 1))
        strip.paste(_fitted(frame, (width, height)), place)
    return strip


def _fitted(frame: UInt8[np.ndarray, "height width 3"], size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(frame).resize(size, Image.Resampling.BOX)
