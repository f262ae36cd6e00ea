"""Which transform a picture gets: large-scale jitter for training, a plain fit for evaluation."""

from dataclasses import dataclass

import numpy as np

from data_pipelines.detection.geometry import Transform, flipped, placed, resized
from data_pipelines.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class LargeScaleJitter:
    """A random size, flip and crop, on a square canvas padded to the right and below.

    Ghiasi et al. 2021, arXiv 2012.07177, section 3; ViLD trains with 0.1 to 2.0 (Gu et al. 2022,
    arXiv 2104.13921, section 4.1). A scale of 1 fits the picture into the canvas.

    Args:
        side: of the canvas in pixels.
        smallest: scale.
        largest: scale.
        flip_share: of the pictures that are mirrored, 0 to 1.

    Raises:
        ConfigError: a setting is out of its range.
    """

    side: int = 1024
    smallest: float = 0.1
    largest: float = 2.0
    flip_share: float = 0.5

    def __post_init__(self) -> None:
        if self.side < 1 or not 0 < self.smallest <= self.largest:
            raise ConfigError(
                f"jitter of {self.smallest} to {self.largest} on {self.side} pixels; take a side "
                "from 1 and scales above 0, the smaller one first"
            )
        if not 0 <= self.flip_share <= 1:
            raise ConfigError(f"flip_share {self.flip_share} is no share; take 0 to 1")

    def draw(self, size: tuple[int, int], rng: np.random.Generator) -> Transform:
        """A transform for a picture of this height and width."""
        scale = float(rng.uniform(self.smallest, self.largest))
        is_flipped = bool(rng.random() < self.flip_share)
        places = rng.random(2)
        new = _scaled(size, scale * self.side / max(size))
        transform = resized(size, new)
        if is_flipped:
            transform = transform.then(flipped(new))
        top, left = (
            -int(place * max(0, side - self.side)) for place, side in zip(places, new, strict=True)
        )
        return transform.then(placed(new, (self.side, self.side), left=left, top=top))


def fitted(size: tuple[int, int], *, longest: int, shortest: int | None = None) -> Transform:
    """The whole picture scaled so that it is as large as allowed, without a crop or a pad.

    Args:
        size: height and width.
        longest: pixels of the longer side at most.
        shortest: pixels of the shorter side at most; None leaves it to the longer one. Detectors
            of COCO are tested with 800 and 1333.
    """
    scale = longest / max(size)
    if shortest is not None:
        scale = min(scale, shortest / min(size))
    return resized(size, _scaled(size, scale))


def padded_to(transform: Transform, canvas: tuple[int, int]) -> Transform:
    """The same on a larger canvas, padded to the right and below.

    Raises:
        ValueError: the canvas is smaller.
    """
    if canvas[0] < transform.target[0] or canvas[1] < transform.target[1]:
        raise ValueError(f"a canvas of {canvas} cannot hold {transform.target}")
    return transform.then(placed(transform.target, canvas, left=0, top=0))


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """At least a pixel high and wide."""
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width
