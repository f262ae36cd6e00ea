"""The kinds of question: what happens over time, and the sentences that tell it from its twin.

Every kind makes two clips of one scene out of the same frames, so no frame and no bag of frames
tells them apart: ``mirrored`` kinds play the scene backwards, the others put its frames into
another order. The scene is drawn before, and apart from, which of the two is shown.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data_pipelines.motion.scene import UNITS, Frame, Pose, Take, reversible, spread

#: Names of the actors, the number of frames, the draws: two clips and their sentences.
Draw = Callable[[tuple[str, ...], int, np.random.Generator], Take]


class Kind(NamedTuple):
    """One kind of question.

    Attributes:
        draw: makes the scene.
        num_actors: sprites that the sentences name.
        mirrored: whether the second clip is the first one played backwards.
        needs_turning: whether the sprite must look different when turned.
    """

    draw: Draw
    num_actors: int = 1
    mirrored: bool = True
    needs_turning: bool = False


def _one(name: str) -> str:
    """With its article: "an onion"."""
    has_vowel = name[0] in "aeiou" and not name.startswith(("uni", "eu", "one"))
    return f"{'an' if has_vowel else 'a'} {name}"


def _size(rng: np.random.Generator) -> float:
    return spread(rng, 0.28, 0.42)


def _direction(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """Moves to the left or to the right, upwards or downwards."""
    size, across = _size(rng), spread(rng, 0.25, 0.75)
    half = spread(rng, 0.15, 0.32)
    middle = 0.5 + spread(rng, -1.0, 1.0) * (0.45 - half)
    is_level = bool(rng.integers(2))

    def frame(time: float) -> Frame:
        along = middle + half * (2 * time - 1)
        return (Pose(0, along, across, size) if is_level else Pose(0, across, along, size),)

    to, back = ("to the right", "to the left") if is_level else ("downwards", "upwards")
    (a,) = names
    return reversible(
        num_frames,
        frame,
        (f"the {a} moves {to}", f"the {a} moves {back}"),
        (f"{_one(a)} that goes {to}", f"{_one(a)} that goes {back}"),
    )


def _turning(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """Turns clockwise or anticlockwise."""
    size, start = spread(rng, 0.4, 0.55), spread(rng, 0.0, 360.0)
    turn = spread(rng, 120.0, 240.0)
    x, y = spread(rng, 0.35, 0.65), spread(rng, 0.35, 0.65)

    def frame(time: float) -> Frame:
        return (Pose(0, x, y, size, start + turn * time),)

    (a,) = names
    return reversible(
        num_frames,
        frame,
        (f"the {a} turns clockwise", f"the {a} turns anticlockwise"),
        (f"{_one(a)} that rotates clockwise", f"{_one(a)} that rotates anticlockwise"),
    )


def _size_change(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """Grows or shrinks."""
    small, large = spread(rng, 0.14, 0.24), spread(rng, 0.45, 0.65)
    x, y = spread(rng, 0.35, 0.65), spread(rng, 0.35, 0.65)

    def frame(time: float) -> Frame:
        return (Pose(0, x, y, small + (large - small) * time),)

    (a,) = names
    return reversible(
        num_frames,
        frame,
        (f"the {a} grows", f"the {a} shrinks"),
        (f"{_one(a)} that becomes larger", f"{_one(a)} that becomes smaller"),
    )


def _presence(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """Appears or vanishes."""
    size, change = _size(rng), spread(rng, 0.25, 0.75)
    x, y = spread(rng, 0.25, 0.75), spread(rng, 0.25, 0.75)

    def frame(time: float) -> Frame:
        return (Pose(0, x, y, size),) if time > change else ()

    (a,) = names
    return reversible(
        num_frames,
        frame,
        (f"the {a} appears", f"the {a} vanishes"),
        (f"{_one(a)} that comes into view", f"{_one(a)} that goes out of view"),
    )


def _pace(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """Speeds up or slows down on its way, in any of four directions."""
    size, across = _size(rng), spread(rng, 0.25, 0.75)
    is_level, is_turned = bool(rng.integers(2)), bool(rng.integers(2))
    start, end = spread(rng, 0.1, 0.2), spread(rng, 0.8, 0.9)

    def frame(time: float) -> Frame:
        along = start + (end - start) * time**3
        along = 1 - along if is_turned else along
        return (Pose(0, along, across, size) if is_level else Pose(0, across, along, size),)

    (a,) = names
    return reversible(
        num_frames,
        frame,
        (f"the {a} speeds up", f"the {a} slows down"),
        (f"{_one(a)} that becomes faster", f"{_one(a)} that becomes slower"),
    )


def _order(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """One is seen first, then the other."""
    size, change = _size(rng), spread(rng, 0.3, 0.7)
    places = [(spread(rng, 0.25, 0.75), spread(rng, 0.25, 0.75)) for _ in names]

    def frame(time: float) -> Frame:
        actor = int(time > change)
        return (Pose(actor, *places[actor], size),)

    a, b = names
    return reversible(
        num_frames,
        frame,
        (f"first the {a}, then the {b}", f"first the {b}, then the {a}"),
        (f"the {a} is followed by the {b}", f"the {b} is followed by the {a}"),
    )


def _meeting(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """Two come together or move apart."""
    size, across = spread(rng, 0.24, 0.34), spread(rng, 0.25, 0.75)
    is_level, is_turned = bool(rng.integers(2)), bool(rng.integers(2))
    near, far = size / 2, spread(rng, 0.32, 0.42)

    def frame(time: float) -> Frame:
        gap = far + (near - far) * time
        along = (0.5 + gap, 0.5 - gap) if is_turned else (0.5 - gap, 0.5 + gap)
        if is_level:
            return tuple(Pose(actor, place, across, size) for actor, place in enumerate(along))
        return tuple(Pose(actor, across, place, size) for actor, place in enumerate(along))

    a, b = names
    return reversible(
        num_frames,
        frame,
        (f"the {a} and the {b} come together", f"the {a} and the {b} move apart"),
        (
            f"{_one(a)} and {_one(b)} approach each other",
            f"{_one(a)} and {_one(b)} get away from each other",
        ),
    )


def _path(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """Goes one way and comes back, then another way; or the other way first."""
    size, reach = spread(rng, 0.24, 0.32), spread(rng, 0.22, 0.32)
    x, y = spread(rng, 0.4, 0.6), spread(rng, 0.4, 0.6)
    side, height = (1 if rng.integers(2) else -1), (1 if rng.integers(2) else -1)

    def frame(time: float) -> Frame:
        away = reach * (1 - abs(4 * time - (1 if time <= 0.5 else 3)))
        if time <= 0.5:
            return (Pose(0, x + side * away, y, size),)
        return (Pose(0, x, y + height * away, size),)

    (a,) = names
    level = "to the right" if side > 0 else "to the left"
    steep = "down" if height > 0 else "up"
    return reversible(
        num_frames,
        frame,
        (
            f"the {a} goes {level} and comes back, then {steep} and back",
            f"the {a} goes {steep} and comes back, then {level} and back",
        ),
        (
            f"{_one(a)} that moves {level} before it moves {steep}",
            f"{_one(a)} that moves {steep} before it moves {level}",
        ),
    )


_TIMES = ("once", "twice", "three times")


def _count(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """Shows up once, twice or three times, as long in all."""
    size = _size(rng)
    x, y = spread(rng, 0.25, 0.75), spread(rng, 0.25, 0.75)
    counts = [int(count) for count in rng.permutation(3)]
    clips = []
    for count in counts[:2]:
        units = _runs(count + 1, rng)
        length = num_frames // UNITS
        seen = [units[i // length] for i in range(num_frames)]
        clips.append(tuple((Pose(0, x, y, size),) if is_seen else () for is_seen in seen))
    (a,) = names
    return Take(
        clips[0],
        clips[1],
        (
            tuple(f"the {a} shows up {_TIMES[count]}" for count in counts),
            tuple(f"{_one(a)} that is seen {_TIMES[count]}" for count in counts),
        ),
    )


def _runs(count: int, rng: np.random.Generator) -> list[bool]:
    """Units of time with three that are seen, in so many runs with a gap between any two."""
    lengths = {1: [3], 2: [2, 1], 3: [1, 1, 1]}[count]
    lengths = [lengths[int(i)] for i in rng.permutation(count)]
    spare = UNITS - 3 - (count - 1)
    gaps = [int(gap) for gap in rng.multinomial(spare, [1 / (count + 1)] * (count + 1))]
    units: list[bool] = [False] * gaps[0]
    for number, length in enumerate(lengths):
        units += [True] * length + [False] * (gaps[number + 1] + (number < count - 1))
    return units


def _passes(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """Crosses the picture once, or there and back."""
    size, across = spread(rng, 0.24, 0.34), spread(rng, 0.25, 0.75)
    is_level, is_turned = bool(rng.integers(2)), bool(rng.integers(2))
    half = num_frames // 2

    def at(step: int) -> Frame:
        along = 0.12 + 0.76 * step / (half - 1)
        along = 1 - along if is_turned else along
        return (Pose(0, along, across, size) if is_level else Pose(0, across, along, size),)

    once = tuple(at(i // 2) for i in range(num_frames))
    twice = tuple(at(i if i < half else num_frames - 1 - i) for i in range(num_frames))
    (a,) = names
    return Take(
        once,
        twice,
        (
            (f"the {a} crosses the picture once", f"the {a} crosses the picture and comes back"),
            (f"{_one(a)} that goes one way", f"{_one(a)} that goes there and back"),
        ),
    )


def _speed(names: tuple[str, ...], num_frames: int, rng: np.random.Generator) -> Take:
    """Moves slowly or quickly, coming in again where it went out."""
    size, across = spread(rng, 0.24, 0.34), spread(rng, 0.25, 0.75)
    start = spread(rng, 0.0, 1.0)
    is_level, is_turned = bool(rng.integers(2)), bool(rng.integers(2))
    half = num_frames // 2
    width = 1 + size  # so that it is out of sight before it comes in again

    def at(step: int) -> Frame:
        along = (start + step / half) % 1.0 * width - size / 2
        along = 1 - along if is_turned else along
        return (Pose(0, along, across, size) if is_level else Pose(0, across, along, size),)

    slow = tuple(at(i // 2) for i in range(num_frames))
    quick = tuple(at(i % half) for i in range(num_frames))
    (a,) = names
    return Take(
        slow,
        quick,
        (
            (f"the {a} moves slowly", f"the {a} moves quickly"),
            (f"a slow {a} passes", f"a fast {a} passes"),
        ),
    )


KINDS: dict[str, Kind] = {
    "direction": Kind(_direction),
    "turning": Kind(_turning, needs_turning=True),
    "size": Kind(_size_change),
    "presence": Kind(_presence),
    "pace": Kind(_pace),
    "order": Kind(_order, num_actors=2),
    "meeting": Kind(_meeting, num_actors=2),
    "path": Kind(_path),
    "count": Kind(_count, mirrored=False),
    "passes": Kind(_passes, mirrored=False),
    "speed": Kind(_speed, mirrored=False),
}
