"""What scenes are drawn on: photographs of the user, or textures made up where there are none."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from data_pipelines.detection.pictures import Pictures, TarPictures, open_pictures
from data_pipelines.errors import DataError
from data_pipelines.image_formats import open_image
from data_pipelines.images import MAX_PIXELS, on_white
from data_pipelines.scenes.sprites import rank
from data_pipelines.shards.find import find_shards
from data_pipelines.skips import Skips

#: Of ten photographs, so many for each of validation and test; the others train.
_SHARES, _VALIDATION, _TEST = 10, 1, 2

#: Photographs from which the splits have their own; of fewer, all splits share all.
MIN_DIVIDED = 40

_KEPT_SIDE = 320  # pixels of the shorter side of a photograph that is kept in memory
_KEPT = 512  # photographs
_CHROMA = (0.1, 0.6)  # of textures; photographs have less colour than noise
_MIN_SHARE = 0.5  # of the shorter side of a photograph that a background shows


@runtime_checkable
class Backgrounds(Protocol):
    """Square pictures to draw on."""

    def draw(
        self, split: str, side: int, rng: np.random.Generator
    ) -> UInt8[np.ndarray, "side side 3"]:
        """A new one for a scene of a split."""
        ...

    @property
    def details(self) -> dict[str, int | str | bool]:
        """What a manifest tells of them."""
        ...


def open_backgrounds(paths: Sequence[str], skips: Skips) -> Backgrounds:
    """Photographs of folders, tars or shards; of no paths, textures.

    Raises:
        DataError: a path leads to no picture.
    """
    if not paths:
        return Textures()
    found: list[tuple[Pictures, str]] = []
    for path in paths:
        is_there = Path(path).exists()
        pictures = open_pictures(Path(path)) if is_there else TarPictures(find_shards(path))
        found += [(pictures, place) for place in pictures.places]
    return Photographs(found, skips)


class Photographs:
    """Random parts of pictures, another part of the pictures for each split.

    Args:
        pictures: where each one lies; none is read before it is drawn.
        skips: filled with those that cannot be decoded; another takes their place.
    """

    def __init__(self, pictures: Sequence[tuple[Pictures, str]], skips: Skips) -> None:
        if not pictures:
            raise DataError("the backgrounds hold no picture; check --backgrounds")
        ordered = sorted(pictures, key=lambda one: rank("background", one[1]))
        self.is_divided = len(ordered) >= MIN_DIVIDED
        self._of: dict[str, list[tuple[Pictures, str]]] = {
            split: [one for one in ordered if not self.is_divided or _part(one[1]) == split]
            for split in ("train", "validation", "test")
        }
        self._num = len(ordered)
        self._skips = skips
        self._broken: set[str] = set()
        self._kept = lru_cache(maxsize=_KEPT)(self._read)

    @property
    def details(self) -> dict[str, int | str | bool]:
        """See ``Backgrounds``."""
        return {
            "kind": "photographs",
            "pictures": self._num,
            "own_of_each_split": self.is_divided,
        }

    def draw(
        self, split: str, side: int, rng: np.random.Generator
    ) -> UInt8[np.ndarray, "side side 3"]:
        """See ``Backgrounds``.

        Raises:
            DataError: none of the pictures of the split can be decoded.
        """
        own = self._of[split]
        first = int(rng.integers(len(own)))
        share, x, y = rng.uniform(_MIN_SHARE, 1.0), rng.random(), rng.random()
        is_flipped = rng.random() < 0.5
        for step in range(len(own)):
            picture = self._kept(split, (first + step) % len(own))
            if picture is not None:
                break
        else:
            raise DataError(f"no background of {split} can be decoded; check --backgrounds")
        length = share * min(picture.size)
        left, top = x * (picture.width - length), y * (picture.height - length)
        box = (left, top, left + length, top + length)
        part = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box))
        return (part[:, ::-1] if is_flipped else part).copy()

    def _read(self, split: str, number: int) -> Image.Image | None:
        pictures, place = self._of[split][number]
        try:
            with open_image(pictures.read(place)) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError("too many pixels")
                image.draft("RGB", (2 * _KEPT_SIDE, 2 * _KEPT_SIDE))
                picture = on_white(ImageOps.exif_transpose(image))
        except (OSError, SyntaxError, ValueError, DataError, Image.DecompressionBombError) as error:
            if place not in self._broken:
                self._skips.add("broken background", f"{place}: {error}")
                self._broken.add(place)
            return None
        scale = _KEPT_SIDE / min(picture.size)
        if scale < 1:
            size = (round(picture.width * scale), round(picture.height * scale))
            picture = picture.resize(size, Image.Resampling.BOX)
        return picture


class Textures:
    """Patches of colour in several sizes upon one another, with stripes here and there."""

    @property
    def details(self) -> dict[str, int | str | bool]:
        """See ``Backgrounds``."""
        return {"kind": "textures"}

    def draw(
        self, split: str, side: int, rng: np.random.Generator
    ) -> UInt8[np.ndarray, "side side 3"]:
        """See ``Backgrounds``; all splits are drawn alike, from numbers of their own."""
        canvas = np.zeros((side, side, 3), np.float32)
        strength, patches = 110.0, int(rng.integers(1, 4))
        canvas += rng.uniform(40, 215, 3).astype(np.float32)
        while patches <= side // 2:
            noise = rng.uniform(-1, 1, (patches + 1, patches + 1, 3)).astype(np.float32)
            canvas += strength * np.stack([_spread(noise[..., i], side) for i in range(3)], axis=2)
            strength *= rng.uniform(0.35, 0.75)
            patches *= 3
        if rng.random() < 0.5:
            canvas += _stripes(side, rng)
        grey = canvas.mean(axis=2, keepdims=True)
        canvas = grey + (canvas - grey) * np.float32(rng.uniform(*_CHROMA))
        return np.clip(canvas, 0, 255).astype(np.uint8)


def _spread(noise: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))


def _stripes(side: int, rng: np.random.Generator) -> np.ndarray:
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 40)
    rows, columns = np.mgrid[0:side, 0:side]
    wave = np.sin((np.cos(angle) * columns + np.sin(angle) * rows) * 2 * np.pi / period)
    return (wave[..., None] * rng.uniform(-45, 45, 3)).astype(np.float32)


def _part(place: str) -> str:
    number = rank("background split", place)[0] % _SHARES
    if number < _TEST:
        return "test"
    return "validation" if number < _TEST + _VALIDATION else "train"
