"""One scene: sprites over one another on a background, and the boxes and masks of what is seen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from data_pipelines.detection.annotations import Annotations, no_annotations
from data_pipelines.detection.masks import rle_of_pixels
from data_pipelines.scenes.looks import Look, draw_look, lay
from data_pipelines.scenes.sprites import Sprite

_TRIES = 20  # places tried for a sprite at one size


class Actor(NamedTuple):
    """A sprite of a scene.

    Attributes:
        label: its row of the vocabulary; None where it is not to be marked.
    """

    sprite: Sprite
    label: int | None


class Scene(NamedTuple):
    """A drawn scene.

    Attributes:
        annotations: of the marked sprites that found a place.
        unmarked: names of the others.
        left_out: names of those that found no place.
    """

    pixels: UInt8[np.ndarray, "side side 3"]
    annotations: Annotations
    unmarked: tuple[str, ...]
    left_out: tuple[str, ...]


def draw_scene(
    background: UInt8[np.ndarray, "side side 3"],
    actors: Sequence[Actor],
    *,
    sizes: tuple[int, int],
    max_hidden: float,
    rng: np.random.Generator,
) -> Scene:
    """Lay the actors one over the other, each where it hides little of those below.

    Args:
        background: becomes the picture.
        sizes: smallest and largest longer side of a sprite in pixels, before it is turned.
        max_hidden: share of the solid pixels of a sprite that others may hide.
    """
    stage = _Stage(background, max_hidden)
    laid: list[Actor] = []
    left_out: list[str] = []
    for actor in actors:
        if stage.add(actor.sprite, sizes, rng):
            laid.append(actor)
        else:
            left_out.append(actor.sprite.name)
    return Scene(
        pixels=background,
        annotations=stage.annotations([actor.label for actor in laid]),
        unmarked=tuple(actor.sprite.name for actor in laid if actor.label is None),
        left_out=tuple(left_out),
    )


class _Stage:
    """A canvas that knows which sprite each pixel shows: -1 for none."""

    def __init__(self, canvas: UInt8[np.ndarray, "side side 3"], max_hidden: float) -> None:
        self._canvas = canvas
        self._size = (canvas.shape[0], canvas.shape[1])
        self._owner = np.full(self._size, -1, np.int64)
        self._solid: list[int] = []  # pixels of each sprite, hidden ones among them
        self._max_hidden = max_hidden

    def add(self, sprite: Sprite, sizes: tuple[int, int], rng: np.random.Generator) -> bool:
        """Lay a sprite where it fits, at a random size, halved while it finds no place.

        Returns:
            Whether it found one.
        """
        longest = int(rng.integers(sizes[0], sizes[1] + 1))
        while True:
            look = draw_look(sprite, longest, rng)
            place = self._place(look, rng)
            if place is not None:
                self._lay(look, *place)
                return True
            if longest == sizes[0]:
                return False
            longest = max(sizes[0], longest // 2)

    def annotations(self, labels: Sequence[int | None]) -> Annotations:
        """Boxes and masks of the sprites with a label, by what is to be seen of them."""
        height, width = self._size
        empty = no_annotations((height, width))
        rows = [number for number, label in enumerate(labels) if label is not None]
        if not rows:
            return empty
        seen = [self._owner == number for number in rows]
        return empty._replace(
            boxes=np.array([_box(one) for one in seen], np.float32),
            labels=np.array([labels[number] for number in rows], np.int64),
            is_crowd=np.zeros(len(rows), np.bool_),
            areas=np.array([float(one.sum()) for one in seen], np.float64),
            masks=tuple(rle_of_pixels(one) for one in seen),
        )

    def _place(self, look: Look, rng: np.random.Generator) -> tuple[int, int] | None:
        height, width = self._size
        room = (width - look.is_solid.shape[1], height - look.is_solid.shape[0])
        if min(room) < 0 or not look.is_solid.any():
            return None
        for _ in range(_TRIES):
            left, top = int(rng.integers(room[0] + 1)), int(rng.integers(room[1] + 1))
            if self._hides_little(look, left, top):
                return left, top
        return None

    def _hides_little(self, look: Look, left: int, top: int) -> bool:
        if not self._solid:
            return True
        owners = self._part(look, left, top)[look.is_solid]
        newly = np.bincount(owners[owners >= 0], minlength=len(self._solid))
        seen = np.bincount(self._owner[self._owner >= 0], minlength=len(self._solid))
        hidden = 1 - (seen - newly) / np.array(self._solid)
        return bool((hidden[newly > 0] < self._max_hidden).all())

    def _lay(self, look: Look, left: int, top: int) -> None:
        lay(self._canvas, look, left, top)
        self._part(look, left, top)[look.is_solid] = len(self._solid)
        self._solid.append(int(look.is_solid.sum()))

    def _part(self, look: Look, left: int, top: int) -> np.ndarray:
        height, width = look.is_solid.shape
        return self._owner[top : top + height, left : left + width]


def _box(seen: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
