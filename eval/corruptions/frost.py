"""Pictures of frost: our own, grown from a seed, or the original six from the user's disk.

The originals (ImageNet-C/create_c/frost1.png to frost6.jpg in hendrycks/robustness) carry no
licence that would let us ship them. Without them ``frost`` is the published formula on other
crystals, so its results are not the published corruption's; give the folder to get that.
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from eval.corruptions.severities import ConstantSet
from eval.errors import EvaluationError

Texture = UInt8[Tensor, "3 height width"]

#: File names of the originals; the published scripts draw from the first five alone.
FILES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg", "frost6.jpg")
NUM_DRAWN = 5

#: cifar-c shrinks the pictures to a fifth by linear interpolation without smoothing, which at
#: this factor keeps every fifth pixel, starting with the third.
_CIFAR_STEP, _CIFAR_FIRST = 5, 2

_SIDE = 640
_ICE = np.array([0.80, 0.91, 1.0])
_DUSK = np.array([0.27, 0.35, 0.43])
_BRANCH_ANGLE = math.radians(60)
_SHORTEST_BRANCH = 5.0
_GENERATIONS = 2


@lru_cache(maxsize=8)
def textures(
    frost_dir: Path | None,
    constants: ConstantSet,
    frame: tuple[int, int],
    device: torch.device,
) -> tuple[Texture, ...]:
    """The pictures that crops are drawn from, larger than ``frame`` on both axes.

    Pictures that are too small are enlarged, which the published script cannot do.

    Raises:
        EvaluationError: ``frost_dir`` lacks one of the original pictures.
    """
    if frost_dir is None:
        pictures = [grown(number) for number in range(NUM_DRAWN)]
    else:
        pictures = [_original(frost_dir / name) for name in FILES[:NUM_DRAWN]]
    if constants == "cifar-c":
        pictures = [p[:, _CIFAR_FIRST::_CIFAR_STEP, _CIFAR_FIRST::_CIFAR_STEP] for p in pictures]
    return tuple(_at_least(picture, frame).to(device) for picture in pictures)


def _original(path: Path) -> Texture:
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            pixels = np.array(image.convert("RGB"))
    except OSError as error:
        raise EvaluationError(
            f"cannot read the frost picture {path} ({error}); the folder needs "
            f"{', '.join(FILES[:NUM_DRAWN])} of hendrycks/robustness, ImageNet-C/create_c"
        ) from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _at_least(picture: Texture, frame: tuple[int, int]) -> UInt8[Tensor, "3 new_height new_width"]:
    scale = max((side + 1) / have for side, have in zip(frame, picture.shape[1:], strict=True))
    if scale <= 1:
        return picture.contiguous()
    sides = [math.ceil(have * scale) for have in picture.shape[1:]]
    enlarged = F.interpolate(picture[None].float(), size=sides, mode="bilinear")[0]
    return enlarged.round_().byte()


@lru_cache(maxsize=NUM_DRAWN)
def grown(number: int) -> Texture:
    """A picture of ice ferns on a dark pane, another for each number, the same every time."""
    generator = np.random.default_rng([0xF705, number])
    crystals = Image.new("L", (_SIDE, _SIDE))
    pen = ImageDraw.Draw(crystals)
    for x, y, turn, size in generator.random((26 + 6 * number, 4)).tolist():
        stem = _Stem(x * _SIDE, y * _SIDE, turn * 2 * math.pi, (0.15 + 0.3 * size) * _SIDE, 255.0)
        _draw_fern(pen, stem, generator)
    sharp = _levels(crystals.filter(ImageFilter.GaussianBlur(0.7)))
    glow = _levels(crystals.filter(ImageFilter.GaussianBlur(9)))
    light = np.clip(0.75 * sharp + 0.9 * glow + 0.35 * _clouds(generator), 0, 1)[..., None]
    pixels = _DUSK * (1 - light) + _ICE * light
    return torch.from_numpy((pixels * 255).astype(np.uint8)).permute(2, 0, 1).contiguous()


class _Stem(NamedTuple):
    """A line of a fern: start, direction in radians, length in pixels, shade up to 255."""

    x: float
    y: float
    angle: float
    length: float
    shade: float
    generation: int = 0


def _draw_fern(pen: ImageDraw.ImageDraw, stem: _Stem, generator: np.random.Generator) -> None:
    """Stems that bend a little, with pairs of branches at 60 degrees that do the same."""
    waiting = [stem]
    while waiting:
        x, y, angle, length, shade, generation = waiting.pop()
        steps = max(4, int(length / 9))
        bends = generator.normal(0, 0.03, steps).tolist()
        for step, (bend, *sizes) in enumerate(
            zip(bends, *generator.uniform(0.5, 1.0, (2, steps)).tolist(), strict=True)
        ):
            angle += bend
            ahead = (x + length / steps * math.cos(angle), y + length / steps * math.sin(angle))
            left = 1 - step / steps
            fill = int(shade * (0.35 + 0.65 * left))
            pen.line([x, y, *ahead], fill=fill, width=1 + int(2 * left))
            x, y = ahead
            for side, size in zip((-1, 1), sizes, strict=True):
                branch = length * 0.38 * left * size
                if branch >= _SHORTEST_BRANCH and generation < _GENERATIONS:
                    turned = angle + side * _BRANCH_ANGLE
                    waiting.append(_Stem(x, y, turned, branch, shade * 0.75, generation + 1))


def _clouds(generator: np.random.Generator) -> Float[np.ndarray, "side side"]:
    """Smooth noise of four scales on [0, 1]."""
    total = np.zeros((_SIDE, _SIDE))
    for octave in range(4):
        cells = 4 << octave
        noise = (generator.random((cells, cells)) * 255).astype(np.uint8)
        smooth = Image.fromarray(noise).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        total += _levels(smooth) / 2**octave
    return (total - total.min()) / np.ptp(total)


def _levels(image: Image.Image) -> Float[np.ndarray, "side side"]:
    return np.asarray(image, dtype=np.float64) / 255
