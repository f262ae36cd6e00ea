"""Size and position of a video's frames, known from its first one or from an index."""

from typing import Any

import numpy as np
from jaxtyping import UInt8

from data_pipelines.errors import BadSampleError
from data_pipelines.video.frame_index import FrameIndex
from data_pipelines.video.limits import DecodeLimits
from data_pipelines.video.pixels import Converter, Upright


class Picture:
    """Turns decoded frames of one video into upright pixels of one size.

    Attributes:
        size: width and height as stored, of the first frame seen.
        upright: how frames are turned.
    """

    def __init__(self, limits: DecodeLimits) -> None:
        self._limits = limits
        self._converter: Converter | None = None
        self._num_frames = 1  # wanted at once
        self.size = (0, 0)
        self.upright = Upright()

    @property
    def is_known(self) -> bool:
        """Whether a frame was seen."""
        return self.size != (0, 0)

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height of what is delivered."""
        return self.upright.size(*self.size)

    def know(self, index: FrameIndex) -> None:
        """Believe an index for the time being; the first frame seen corrects it."""
        self.size = (index.width, index.height)
        self.upright = Upright.turned(index.quarters, is_mirrored=index.is_mirrored)

    def make_room(self, num_frames: int) -> None:
        """Refuse more output than allowed, now or as soon as a frame was seen.

        Raises:
            BadSampleError: "too many pixels".
        """
        self._num_frames = num_frames
        width, height = self.size
        if self._converter is None:  # an index may say anything
            return
        if (
            width * height > self._limits.max_pixels
            or 3 * width * height * num_frames > self._limits.max_output_bytes
        ):
            raise BadSampleError(
                "too many pixels", f"{num_frames} frames of {width} x {height} are over the limit"
            )

    def pixels(self, frame: Any) -> UInt8[np.ndarray, "height width 3"]:
        """Upright pixels, of use only until the next call.

        Raises:
            BadSampleError: "broken video", "too many pixels".
        """
        if frame.is_corrupt:
            raise BadSampleError("broken video", "a frame that is asked for is damaged")
        if self._converter is None:
            self._converter = Converter()
            self.size = (frame.width, frame.height)
            self.upright = Upright.of_frame(frame)
            self.make_room(self._num_frames)
        return self.upright.turn(self._converter.pixels(frame, self.size))
