"""What is to be seen in each frame of a clip, as plain numbers, before any pixel is drawn.

Lengths are shares of the picture's side, so one scene can be drawn at any size.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

#: Units of time of the kinds that count: the number of frames is a multiple of it.
UNITS = 8


class Pose(NamedTuple):
    """One sprite in one frame.

    Attributes:
        actor: its number in the cast.
        x: of its centre, from the left.
        y: of its centre, from the top.
        size: of its longest side.
        angle: degrees clockwise.
    """

    actor: int
    x: float
    y: float
    size: float
    angle: float = 0.0


#: What is drawn in one frame, in order.
Frame = tuple[Pose, ...]


class Take(NamedTuple):
    """Two clips of one scene with the same frames in another order, and the words for each.

    Attributes:
        first: frames of one clip.
        second: frames of the other; the same ones in another order.
        wordings: for each wording the sentence of the first clip, of the second, and false ones.
    """

    first: tuple[Frame, ...]
    second: tuple[Frame, ...]
    wordings: tuple[tuple[str, ...], ...]


def both_ways(num_frames: int, frame_at: Callable[[float], Frame]) -> tuple[Frame, ...]:
    """Frames of a scene that can also be played backwards.

    The two middle frames are the same moment: a single frame taken from the middle is then the
    same picture whichever way the clip is played.

    Args:
        num_frames: even.
        frame_at: what is seen at a time from 0 to 1.
    """
    steps = num_frames - 2
    numbers = [i if i < num_frames // 2 else i - 1 for i in range(num_frames)]
    return tuple(frame_at(number / steps) for number in numbers)


def reversible(num_frames: int, frame_at: Callable[[float], Frame], *wordings: tuple) -> Take:
    """A scene played forwards and backwards."""
    first = both_ways(num_frames, frame_at)
    return Take(first, first[::-1], wordings)


def spread(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two, as a Python float."""
    return float(rng.uniform(low, high))
