"""Pictures that change little by little: the ten kinds of ImageNet-P, in memory.

Hendrycks and Dietterich 2019, arXiv 1903.12261, section 4.2. Strengths and lengths are read in
the generating scripts of hendrycks/robustness, folder ImageNet-P/create_p: make_imagenet_p.py
(``imagenet-p``: shorter side resized to 256, middle 224) and make_cifar_p.py (``cifar-p``: 32).

Four kinds move the picture before it is cropped: what comes in from outside is its real content
as far as there is any, then black. Those are frames. The other six change the crop, a batch at a
time. The published sequences are films compressed as H.264; these are not.

Turns and zooms are about the exact middle of the picture (zoom blur: of the crop), and tilt is
interpolated exactly, not to 1/32 of a pixel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from PIL import Image
from torch import Tensor

from eval.corruptions.blur import motion_blur
from eval.corruptions.digital import brightness
from eval.corruptions.draws import Draws, keys_of
from eval.corruptions.noise import gaussian_noise, shot_noise
from eval.corruptions.operators import filter_both
from eval.corruptions.pixels import Images
from eval.corruptions.severities import Brightness, Motion, Noise, Shot, Snow
from eval.corruptions.weather import SnowDraws, snow
from eval.data.raw_image import RawImage
from eval.data.views import CropFrame, FrameView, ImageTransform, View, shorter_side
from vlsuite.batches.transforms import to_uint8

PerturbationSet = Literal["imagenet-p", "cifar-p"]

#: Frames of these are noisy one by one, and all are compared with the first, which is clean.
NOISE = ("gaussian_noise", "shot_noise")
#: Kinds that reach beyond the crop.
GEOMETRIC = ("translate", "rotate", "tilt", "scale")

_AT_A_TIME = 16
_BARELY = 1e-3  # bytes: keeps rounding errors from falling below a whole number


class Sweep(NamedTuple):
    """How one kind goes from frame to frame.

    Attributes:
        length: frames of a published sequence.
        first: strength of frame 0: pixels, degrees, factor or share of full brightness.
        step: added to the strength with every frame.
        clean: number of the frame that shows the picture as it is (tilt: a trifle smaller); 0
            where none does.
        constants: what the kind needs besides.
    """

    length: int
    first: float = 0.0
    step: float = 0.0
    clean: int = 0
    constants: Noise | Shot | Motion | Snow | None = None

    def strength(self, number: int) -> float:
        """Of one frame."""
        return float(self.first + self.step * number)

    def numbers(self, num_frames: int) -> range:
        """So many consecutive frames, the clean one in the middle where possible."""
        count = min(num_frames, self.length)
        start = min(max(0, self.clean - count // 2), self.length - count)
        return range(start, start + count)


_IMAGENET_P = {
    "gaussian_noise": Sweep(31, constants=Noise(0.03)),
    "shot_noise": Sweep(31, constants=Shot(300.0)),
    "motion_blur": Sweep(31, -120, 4, constants=Motion(10, 3.0)),
    "zoom_blur": Sweep(31, 1, 0.004),
    "snow": Sweep(31, -150, 4, constants=Snow(0.05, 0.3, 3.0, 0.5, 14, 4.0, 0.85)),
    "brightness": Sweep(31, -0.30, 0.02, clean=15),
    "translate": Sweep(41, -20, 1, clean=20),
    "rotate": Sweep(31, -15, 1, clean=15),
    "tilt": Sweep(31, -15, 1, clean=15),
    "scale": Sweep(31, 0.40, 0.025, clean=24),
}

_CIFAR_P = {
    "gaussian_noise": Sweep(31, constants=Noise(0.02)),
    "shot_noise": Sweep(31, constants=Shot(700.0)),
    "motion_blur": Sweep(21, -180, 9, constants=Motion(6, 1.8)),
    "zoom_blur": Sweep(31, 1, 0.004),
    "snow": Sweep(31, -150, 4, constants=Snow(0.05, 0.3, 2.0, 0.5, 10, 2.0, 0.85)),
    "brightness": Sweep(31, -0.225, 0.015, clean=15),
    "translate": Sweep(16, -7, 1, clean=7),
    "rotate": Sweep(31, -15, 1, clean=15),
    "tilt": Sweep(31, -11.25, 0.75, clean=15),
    "scale": Sweep(31, 0.70, 0.02, clean=15),
}

SWEEPS: dict[PerturbationSet, dict[str, Sweep]] = {"imagenet-p": _IMAGENET_P, "cifar-p": _CIFAR_P}
CROPS: dict[PerturbationSet, CropFrame] = {
    "imagenet-p": CropFrame(256, 224),
    "cifar-p": CropFrame(32, 32),
}


@dataclass(frozen=True, slots=True)
class GeometricFrame:
    """The resized picture moved, turned, tilted or scaled, then cropped.

    Args:
        kind: one of ``GEOMETRIC``.
        number: of the frame in the published sequence.
        constants: of which set.
    """

    kind: str
    number: int
    constants: PerturbationSet

    @property
    def key(self) -> str:
        """See ``Frame``."""
        return f"{self.constants} {self.kind} {self.number}"

    def __call__(
        self, picture: RawImage, transform: ImageTransform
    ) -> UInt8[Tensor, "3 height width"]:
        """See ``Frame``."""
        crop = CROPS[self.constants]
        strength = SWEEPS[self.constants][self.kind].strength(self.number)
        resized = shorter_side(picture.rgb, crop.resize)
        left, top = (round((side - crop.crop) / 2) for side in resized.size)
        source = _sources(self.kind, strength, *resized.size) @ _moved_by(float(left), float(top))
        values = (source / source[2, 2]).ravel()[:8].tolist()
        shown = resized.transform(
            (crop.crop, crop.crop),
            Image.Transform.PERSPECTIVE if self.kind == "tilt" else Image.Transform.AFFINE,
            values if self.kind == "tilt" else values[:6],
            Image.Resampling.NEAREST if self.kind == "translate" else Image.Resampling.BILINEAR,
        )
        return to_uint8(shown)


@dataclass(frozen=True, slots=True)
class PixelView:
    """The crop made noisy, blurred, snowy, darker or brighter.

    Args:
        kind: a perturbation that is not in ``GEOMETRIC``.
        number: of the frame in the published sequence.
        constants: of which set.
        seed: of noise and flakes, with each picture's id.
    """

    kind: str
    number: int
    constants: PerturbationSet
    seed: int

    @property
    def key(self) -> str:
        """See ``View``."""
        seed = f" seed {self.seed}" if self.kind in (*NOISE, "snow") else ""
        return f"{self.constants} {self.kind} {self.number}{seed}"

    @property
    def frame(self) -> CropFrame:
        """See ``View``."""
        return CROPS[self.constants]

    @property
    def needs_transform(self) -> bool:
        """The crop is the published one, not the model's."""
        return True

    def apply(
        self, frames: UInt8[Tensor, "batch 3 height width"], image_ids: Sequence[int]
    ) -> UInt8[Tensor, "batch 3 height width"]:
        """See ``View``."""
        # The flakes of a picture stay what they are from frame to frame.
        drawn = 0 if self.kind == "snow" else self.number
        keys = keys_of(
            image_ids, f"{self.constants} {self.kind}", drawn, seed=self.seed, device=frames.device
        )
        parts = zip(frames.split(_AT_A_TIME), keys.split(_AT_A_TIME), strict=True)
        return torch.cat([self._changed(part, Draws(own)) for part, own in parts])

    def _changed(self, images: Images, draws: Draws) -> Images:
        sweep = SWEEPS[self.constants][self.kind]
        strength, sides = sweep.strength(self.number), images.shape[-2:]
        match sweep.constants:
            case Noise() as own:
                return gaussian_noise(images, own, draws.normal(3, *sides, stream=0))
            case Shot() as own:
                return shot_noise(images, own, draws.uniform(3, *sides, stream=0))
            case Motion() as own:
                return motion_blur(images, own, _repeated(strength, images))
            case Snow() as own:
                normals = draws.normal(*sides, stream=0).double()
                return snow(images, own, SnowDraws(normals, _repeated(strength, images)))
        if self.kind == "zoom_blur":
            return _zoom_blur(images, [sweep.strength(i) for i in range(1, self.number + 1)])
        return brightness(images, Brightness(strength))


def view_of(kind: str, number: int, constants: PerturbationSet, *, seed: int) -> View:
    """One frame of one kind.

    Args:
        kind: one of the ten.
        number: of the frame in the published sequence.
        constants: of which set.
        seed: of noise and flakes.
    """
    if kind in GEOMETRIC:
        return FrameView(GeometricFrame(kind, number, constants), needs_transform=True)
    if number == 0 and kind in (*NOISE, "zoom_blur"):
        return FrameView(CROPS[constants], needs_transform=True)
    return PixelView(kind, number, constants, seed)


def tilt_matrix(degrees: float, width: int, height: int) -> Float64[np.ndarray, "3 3"]:
    """Where each pixel of a picture goes that is turned about both axes and seen from afar.

    As make_imagenet_p.py has it: the picture lies one unit in front of the origin, is turned
    about its vertical axis, then about its horizontal one, and is projected from as far away as
    its diagonal is long. Positions count from the middle of the first pixel.
    """
    angle, depth = math.radians(degrees), math.hypot(width, height)
    cos, sin = math.cos(angle), math.sin(angle)
    lifted = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    about_horizontal = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    about_vertical = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    away = np.zeros((3, 3))
    away[2, 2] = depth
    seen = np.array([[depth, 0, width / 2], [0, depth, height / 2], [0, 0, 1]])
    return seen @ (about_horizontal @ about_vertical @ lifted + away)


def _sources(kind: str, strength: float, width: int, height: int) -> Float64[np.ndarray, "3 3"]:
    """Where in the resized picture each place of the changed one comes from.

    Places count from the upper left corner, so that the first pixel's middle is at 0.5.
    """
    if kind == "translate":
        return _moved_by(-strength, 0.0)
    if kind == "tilt":
        back = np.linalg.inv(tilt_matrix(strength, width, height))
        return _moved_by(0.5, 0.5) @ back @ _moved_by(-0.5, -0.5)
    about_middle = np.eye(3)
    if kind == "rotate":
        angle = math.radians(strength)
        about_middle[:2, :2] = [
            [math.cos(angle), math.sin(angle)],
            [-math.sin(angle), math.cos(angle)],
        ]
    else:
        about_middle[:2, :2] /= strength
    middle = width / 2, height / 2
    return _moved_by(*middle) @ about_middle @ _moved_by(-middle[0], -middle[1])


def _moved_by(right: float, down: float) -> Float64[np.ndarray, "3 3"]:
    return np.array([[1.0, 0.0, right], [0.0, 1.0, down], [0.0, 0.0, 1.0]])


def _repeated(angle: float, images: Images) -> Float64[Tensor, " batch"]:
    return torch.full((len(images),), angle, dtype=torch.float64)


def _zoom_blur(images: Images, factors: Sequence[float]) -> Images:
    """Average of the crop and its enlargements, each cut to bytes, and the average too."""
    values = images.float()
    total = values.clone()
    for factor in factors:
        rows, columns = (
            _enlarging_matrix(side, factor, images.device) for side in images.shape[-2:]
        )
        total += filter_both(values, rows, columns).add_(_BARELY).floor_()
    return total.div_(len(factors) + 1).add_(_BARELY).byte()


@lru_cache(maxsize=128)
def _enlarging_matrix(
    length: int, factor: float, device: torch.device
) -> Float[Tensor, "length length"]:
    """Linear interpolation of a line enlarged about its middle."""
    middle = (length - 1) / 2
    places = middle + (np.arange(length) - middle) / factor
    lower = np.floor(places).astype(int).clip(0, length - 2)
    matrix = np.zeros((length, length), dtype=np.float32)
    matrix[np.arange(length), lower] = 1 - (places - lower)
    matrix[np.arange(length), lower + 1] = places - lower
    return torch.from_numpy(matrix).to(device)
