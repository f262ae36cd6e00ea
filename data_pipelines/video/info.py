"""What is known about a video before any frame of it is asked for."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoInfo:
    """Of the first video stream that is no cover picture.

    Attributes:
        frames: how many there are, counted and not read from a header.
        duration: seconds from the first frame to the end of the last.
        fps: mean number of frames in a second; see ``starts`` where the rate varies.
        start: seconds at which the container shows the first frame; all other times count from
            there.
        width: of an upright frame, in pixels.
        height: likewise.
        rotation: degrees clockwise by which frames are turned to be upright: 0, 90, 180 or 270.
        is_mirrored: whether they are mirrored from left to right before they are turned.
        container: FFmpeg's name, "mov,mp4,m4a,3gp,3g2,mj2".
        codec: FFmpeg's name, "h264".
        is_timed: whether the container says when frames are shown; False: times are counted by
            the rate.
        starts: seconds at which each frame is shown, counted from the first.
    """

    frames: int
    duration: float
    fps: float
    start: float
    width: int
    height: int
    rotation: int
    is_mirrored: bool
    container: str
    codec: str
    is_timed: bool
    starts: Float64[np.ndarray, " frames"] = field(repr=False)
