"""Which packet of a video carries which frame, and when that frame is shown."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Float64, Int64

from data_pipelines.errors import BadSampleError

_LATEST = 1e7  # seconds, about four months; time stamps beyond are none


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameTable:
    """All frames in the order in which they are shown.

    Attributes:
        packets: number of the packet that carries a frame, counted over the packets of the
            stream in the order of the file; each occurs once.
        pts: when a frame is shown, in units of ``time_base``; ascending.
        keys: whether decoding can start at the frame.
        dts: of the packet, in the same units, for seeking.
        end: when the last frame ceases to be shown.
        time_base: seconds.
        num_packets: of the stream.
        is_timed: whether ``pts`` comes from the container.
        is_decoded: whether the table was made by decoding every frame, not from packets alone.
    """

    packets: Int64[np.ndarray, " frames"]
    pts: Int64[np.ndarray, " frames"]
    keys: Bool[np.ndarray, " frames"]
    dts: Int64[np.ndarray, " frames"]
    end: int
    time_base: Fraction
    num_packets: int
    is_timed: bool
    is_decoded: bool

    def __post_init__(self) -> None:
        if not len(self.pts):
            raise BadSampleError("no frames", "the video has none")
        low, high = (float(value * self.time_base) for value in (int(self.pts[0]), self.end))
        if max(abs(low), abs(high)) > _LATEST:
            raise BadSampleError("time stamps without sense", f"from {low:g} to {high:g} s")

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def starts(self) -> Float64[np.ndarray, " frames"]:
        """Seconds at which frames are shown, counted from the first."""
        return (self.pts - self.pts[0]) * float(self.time_base)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return float((self.end - int(self.pts[0])) * self.time_base)

    @property
    def start(self) -> float:
        """Seconds of the container's clock at the first frame."""
        return float(int(self.pts[0]) * self.time_base)


def usual_step(pts: Int64[np.ndarray, " frames"]) -> int:
    """Median distance of two frames; 0 for a single one."""
    return int(np.median(np.diff(pts))) if len(pts) > 1 else 0
