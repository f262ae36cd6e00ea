"""The frames of one question, put in their places as they are decoded."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from data_pipelines.errors import BadSampleError
from data_pipelines.video.picture import Picture


class Gathered:
    """Room for frames in the order asked for.

    Args:
        numbers: of frames, repeated ones among them.
        picture: turns frames into pixels.
    """

    def __init__(self, numbers: Sequence[int], picture: Picture) -> None:
        self._numbers = numbers
        self._picture = picture
        self._room: UInt8[np.ndarray, "frames height width 3"] | None = None
        self._missing = set(numbers)

    @property
    def missing(self) -> set[int]:
        """Numbers of frames that have not come yet."""
        return self._missing

    def add(self, number: int, frame: Any) -> None:
        """A frame of PyAV; others than those asked for are passed over.

        Raises:
            BadSampleError: "broken video", "too many pixels".
        """
        if number in self._missing:
            self.add_pixels(number, self._picture.pixels(frame))

    def add_pixels(self, number: int, pixels: UInt8[np.ndarray, "height width 3"]) -> None:
        """Upright pixels, which are copied."""
        if self._room is None:
            self._room = np.empty((len(self._numbers), *pixels.shape), dtype=np.uint8)
        for place, wanted in enumerate(self._numbers):
            if wanted == number:
                self._room[place] = pixels
        self._missing.discard(number)

    def frames(self, num_frames: int) -> UInt8[np.ndarray, "frames height width 3"]:
        """All of them.

        Args:
            num_frames: of the video, for the message.
        Raises:
            BadSampleError: "broken video": one did not come.
        """
        if self._missing:
            raise BadSampleError(
                "broken video", f"it has {num_frames} frames, and none {max(self._missing)}"
            )
        if self._room is None:
            return np.zeros((0, *self._picture.upright_size[::-1], 3), dtype=np.uint8)
        return self._room
