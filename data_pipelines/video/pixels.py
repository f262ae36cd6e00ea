"""Decoded frames to upright RGB pixels."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

from data_pipelines.errors import BadSampleError

_ONE = 1 << 16  # of a display matrix in 16.16 fixed point


class Upright:
    """How frames are mirrored and turned to be upright, by a display matrix.

    ISO/IEC 14496-12 section 8.3.2: a point (x, y) of the frame is shown at (a x + c y, b x + d y).

    Args:
        matrix: a, b, c, d as -1, 0 or 1; others than the eight of quarter turns and mirrors
            leave frames as they are.
    """

    def __init__(self, matrix: tuple[int, int, int, int] = (1, 0, 0, 1)) -> None:
        a, b, c, d = matrix
        if sorted(map(abs, matrix)) != [0, 0, 1, 1] or abs(a) != abs(d) or not a * d - b * c:
            a, b, c, d = 1, 0, 0, 1
        self.is_mirrored = a * d - b * c < 0
        # Mirrored left to right first: a matrix with its first row's sign changed is a rotation.
        cosine, sine = (-a, -b) if self.is_mirrored else (a, b)
        self.quarters = {(1, 0): 0, (0, 1): 1, (-1, 0): 2, (0, -1): 3}[cosine, sine]

    @classmethod
    def of_frame(cls, frame: Any) -> "Upright":
        """By the side data of a frame of PyAV."""
        from av.sidedata.sidedata import Type

        data = frame.side_data.get(Type.DISPLAYMATRIX)
        if data is None:
            return cls()
        values = np.frombuffer(bytes(data), dtype=np.int32)
        if len(values) != 9:
            return cls()
        a, b, c, d = (round(int(values[i]) / _ONE) for i in (0, 1, 3, 4))
        return cls((a, b, c, d))

    @classmethod
    def turned(cls, quarters: int, *, is_mirrored: bool) -> "Upright":
        """By quarter turns clockwise, after mirroring."""
        made = cls()
        made.quarters, made.is_mirrored = quarters, is_mirrored
        return made

    @property
    def degrees(self) -> int:
        """Clockwise."""
        return 90 * self.quarters

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of an upright frame."""
        return (height, width) if self.quarters % 2 else (width, height)

    def turn(
        self, pixels: UInt8[np.ndarray, "height width 3"]
    ) -> UInt8[np.ndarray, "turned_height turned_width 3"]:
        """A view."""
        if self.is_mirrored:
            pixels = pixels[:, ::-1]
        return np.rot90(pixels, -self.quarters) if self.quarters else pixels


class Converter:
    """Frames of one video to RGB pixels of one size."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()

    def pixels(self, frame: Any, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
        """Not yet turned; of use only until the next call.

        Args:
            size: width and height that frames of another size are scaled to.
        Raises:
            BadSampleError: "broken video".
        """
        from av.error import FFmpegError

        width, height = size
        try:
            shown = self._reformatter.reformat(
                frame, width=width, height=height, format="rgb24", threads=1
            )
        except (FFmpegError, ValueError, OSError) as error:
            raise BadSampleError("broken video", "its pixels cannot be converted") from error
        plane = shown.planes[0]
        rows = np.frombuffer(memoryview(plane), dtype=np.uint8).reshape(height, plane.line_size)
        return rows[:, : 3 * width].reshape(height, width, 3)
