"""Drawn shapes with true captions: data for smoke runs on a machine that has none."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, product

import numpy as np
from PIL import Image, ImageDraw

from data_pipelines.errors import DataError
from data_pipelines.options import option
from data_pipelines.schema import Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, sources

_COLOURS = ("red", "green", "blue", "yellow", "black", "white", "purple", "orange")
_SHAPES = ("circle", "square", "triangle")
_PLACES = ("top left", "top right", "bottom left", "bottom right", "in the middle")
_SIZES = ("small", "large")


@sources.register("synthetic")
@dataclass(frozen=True, kw_only=True)
class SyntheticSource(Source):
    """Pictures of one shape on a coloured ground; the caption says all there is to see."""

    HELP = "drawn shapes with true captions, for smoke runs"
    EXAMPLE = "vlsuite data build synthetic --num-samples 2000 --out data/shapes"

    num_samples: int = option("number of pictures", default=2000)
    side: int = option("of the pictures in pixels", default=64)
    seed: int = option("of the drawing order and positions", default=0)

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """Pictures in a seeded order; combinations repeat, with jitter, once all were drawn."""
        if self.num_samples < 1 or self.side < 8:
            raise DataError("synthetic pictures: at least 1 of them, of at least 8 pixels")
        rng = np.random.Generator(np.random.Philox(self.seed))
        return islice(self._endless(rng), self.num_samples)

    def _endless(self, rng: np.random.Generator) -> Iterator[Sample]:
        kinds = list(product(_SIZES, _COLOURS, _SHAPES, _COLOURS, _PLACES))
        kinds = [kind for kind in kinds if kind[1] != kind[3]]
        number = 0
        while True:
            for row in rng.permutation(len(kinds)):
                yield self._sample(number, kinds[row], rng)
                number += 1

    def _sample(self, number: int, kind: tuple[str, ...], rng: np.random.Generator) -> Sample:
        size, colour, shape, ground, place = kind
        data = _png(_drawn(kind, self.side, rng))
        captions = (
            f"a {size} {colour} {shape} {place} on {ground}",
            f"{place}, a {size} {shape} in {colour}, {ground} background",
        )
        return Sample(
            uid=make_uid("synthetic", f"{self.seed}-{number}", data),
            image=data,
            image_suffix="png",
            captions=captions,
            provenance={"source": "synthetic", "key": f"{self.seed}-{number}"},
        )


def _drawn(kind: tuple[str, ...], side: int, rng: np.random.Generator) -> Image.Image:
    size, colour, shape, ground, place = kind
    picture = Image.new("RGB", (side, side), ground)
    radius = side * (0.12 if size == "small" else 0.22)
    x = side * (0.28 if "left" in place else 0.72 if "right" in place else 0.5)
    y = side * (0.28 if "top" in place else 0.72 if "bottom" in place else 0.5)
    x, y = (np.array([x, y]) + rng.uniform(-0.04, 0.04, size=2) * side).tolist()
    box = (x - radius, y - radius, x + radius, y + radius)
    pen = ImageDraw.Draw(picture)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon([(x, y - radius), (box[0], box[3]), (box[2], box[3])], fill=colour)
    return picture


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
