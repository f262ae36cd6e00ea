"""What each corruption is called and how strong its five severities are.

Two published sets of constants, both read in the generating scripts of Hendrycks and Dietterich
2019 (arXiv 1903.12261; repository hendrycks/robustness, folder ImageNet-C/create_c):

- ``imagenet-c``: make_imagenet_c.py, for frames of 224 pixels;
- ``cifar-c``: make_cifar_c.py, for frames of 32 pixels.

Intensities are on [0, 1] and lengths in pixels of those frames; on other frame sizes the same
numbers are used, so results there compare with no published table.
"""

import difflib
from typing import Any, Literal, NamedTuple, get_args

from eval.errors import EvaluationError

ConstantSet = Literal["imagenet-c", "cifar-c"]

#: The frame, in pixels a side, each set was published for.
FRAME_SIZES: dict[ConstantSet, int] = {"imagenet-c": 224, "cifar-c": 32}

#: The fifteen that count towards mCE, in the order of the published tables.
CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)

#: The four meant for tuning, outside mCE.
EXTRA_CORRUPTIONS = ("speckle_noise", "gaussian_blur", "spatter", "saturate")

ALL_CORRUPTIONS = CORRUPTIONS + EXTRA_CORRUPTIONS

SEVERITIES = (1, 2, 3, 4, 5)


class Noise(NamedTuple):
    """Standard deviation of normal noise."""

    sigma: float


class Shot(NamedTuple):
    """Mean number of photons that a white pixel stands for."""

    photons: float


class Impulse(NamedTuple):
    """Share of values that become 0 or 1."""

    share: float


class Defocus(NamedTuple):
    """Radius of the disk, and sigma of the normal that softens its edge."""

    radius: float
    alias_sigma: float


class Glass(NamedTuple):
    """Blur before and after, largest shift of a pixel, number of sweeps."""

    sigma: float
    max_shift: int
    sweeps: int


class Motion(NamedTuple):
    """Length of the one-sided trail is 2 radius + 1; sigma of the normal it fades with."""

    radius: int
    sigma: float


class Zoom(NamedTuple):
    """Factors are ``numpy.arange(1, stop, step)``, float artefacts included."""

    stop: float
    step: float


class Snow(NamedTuple):
    """Mean and deviation of the flakes' field, its zoom and cut-off; trail; share of picture."""

    mean: float
    std: float
    zoom: float
    threshold: float
    radius: int
    sigma: float
    blend: float


class Frost(NamedTuple):
    """Weights of the picture and of the frost; they need not add up to 1."""

    image_weight: float
    frost_weight: float


class Fog(NamedTuple):
    """Strength, and the factor by which the map's roughness falls from scale to scale."""

    strength: float
    decay: float


class Brightness(NamedTuple):
    """Added to the value of HSV."""

    shift: float


class Contrast(NamedTuple):
    """Multiplies the distance from each channel's mean."""

    scale: float


class Elastic(NamedTuple):
    """Amplitude and smoothness of the displacement, largest shift of the affine map's corners."""

    alpha: float
    sigma: float
    affine: float


class Pixelate(NamedTuple):
    """Side of the small picture as a share of the frame's."""

    scale: float


class Jpeg(NamedTuple):
    """Quality on libjpeg's scale, 1 to 100."""

    quality: int


class GaussianBlur(NamedTuple):
    """Standard deviation in pixels."""

    sigma: float


class Spatter(NamedTuple):
    """Liquid's mean, deviation, smoothness and cut-off; strength (mud: blur); mud or water."""

    mean: float
    std: float
    sigma: float
    threshold: float
    strength: float
    is_mud: bool


class Saturate(NamedTuple):
    """Saturation of HSV times ``scale`` plus ``shift``."""

    scale: float
    shift: float


def _rows(kind: Any, *rows: tuple[Any, ...]) -> tuple[Any, ...]:
    """One named tuple a severity; numbers take the type of their field."""
    types = [kind.__annotations__[field] for field in kind._fields]
    return tuple(
        kind(*(make(value) for make, value in zip(types, row, strict=True))) for row in rows
    )


def _one_each(kind: Any, *values: Any) -> tuple[Any, ...]:
    return _rows(kind, *((value,) for value in values))


#: The published script writes 244 where 224 was meant; its pictures were made with 244.
_ELASTIC_UNIT = 244


def _elastic(unit: int, *rows: tuple[Any, ...]) -> tuple[Any, ...]:
    return _rows(Elastic, *(tuple(unit * value for value in row) for row in rows))


_IMAGENET_C: dict[str, tuple[Any, ...]] = {
    "gaussian_noise": _one_each(Noise, 0.08, 0.12, 0.18, 0.26, 0.38),
    "shot_noise": _one_each(Shot, 60, 25, 12, 5, 3),
    "impulse_noise": _one_each(Impulse, 0.03, 0.06, 0.09, 0.17, 0.27),
    "defocus_blur": _rows(Defocus, (3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    "glass_blur": _rows(Glass, (0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    "motion_blur": _rows(Motion, (10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    "zoom_blur": _rows(Zoom, (1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    "snow": _rows(
        Snow,
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    "frost": _rows(Frost, (1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    "fog": _rows(Fog, (1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    "brightness": _one_each(Brightness, 0.1, 0.2, 0.3, 0.4, 0.5),
    "contrast": _one_each(Contrast, 0.4, 0.3, 0.2, 0.1, 0.05),
    "elastic_transform": _elastic(
        _ELASTIC_UNIT,
        (2, 0.7, 0.1),
        (2, 0.08, 0.2),
        (0.05, 0.01, 0.02),
        (0.07, 0.01, 0.02),
        (0.12, 0.01, 0.02),
    ),
    "pixelate": _one_each(Pixelate, 0.6, 0.5, 0.4, 0.3, 0.25),
    "jpeg_compression": _one_each(Jpeg, 25, 18, 15, 10, 7),
    "speckle_noise": _one_each(Noise, 0.15, 0.2, 0.35, 0.45, 0.6),
    "gaussian_blur": _one_each(GaussianBlur, 1, 2, 3, 4, 6),
    "spatter": _rows(
        Spatter,
        (0.65, 0.3, 4, 0.69, 0.6, False),
        (0.65, 0.3, 3, 0.68, 0.6, False),
        (0.65, 0.3, 2, 0.68, 0.5, False),
        (0.65, 0.3, 1, 0.65, 1.5, True),
        (0.67, 0.4, 1, 0.65, 1.5, True),
    ),
    "saturate": _rows(Saturate, (0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
}

_CIFAR_C: dict[str, tuple[Any, ...]] = {
    "gaussian_noise": _one_each(Noise, 0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": _one_each(Shot, 500, 250, 100, 75, 50),
    "impulse_noise": _one_each(Impulse, 0.01, 0.02, 0.03, 0.05, 0.07),
    "defocus_blur": _rows(Defocus, (0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": _rows(Glass, (0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion_blur": _rows(Motion, (6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    "zoom_blur": _rows(Zoom, (1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    "snow": _rows(
        Snow,
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": _rows(Frost, (1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    "fog": _rows(Fog, (0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": _one_each(Brightness, 0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": _one_each(Contrast, 0.75, 0.5, 0.4, 0.3, 0.15),
    "elastic_transform": _elastic(
        FRAME_SIZES["cifar-c"],
        (0, 0, 0.08),
        (0.05, 0.2, 0.07),
        (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05),
        (0.1, 0.03, 0.03),
    ),
    "pixelate": _one_each(Pixelate, 0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg_compression": _one_each(Jpeg, 80, 65, 58, 50, 40),
    "speckle_noise": _one_each(Noise, 0.06, 0.1, 0.12, 0.16, 0.2),
    "gaussian_blur": _one_each(GaussianBlur, 0.4, 0.6, 0.7, 0.8, 1),
    "spatter": _rows(
        Spatter,
        (0.62, 0.1, 0.7, 0.7, 0.5, False),
        (0.65, 0.1, 0.8, 0.7, 0.5, False),
        (0.65, 0.3, 1, 0.69, 0.5, False),
        (0.65, 0.1, 0.7, 0.69, 0.6, True),
        (0.65, 0.1, 0.5, 0.68, 0.6, True),
    ),
    "saturate": _rows(Saturate, (0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
}

_TABLES: dict[ConstantSet, dict[str, tuple[Any, ...]]] = {
    "imagenet-c": _IMAGENET_C,
    "cifar-c": _CIFAR_C,
}


def constants_of(corruption: str, severity: int, constants: ConstantSet = "imagenet-c") -> Any:
    """The named tuple of numbers for one corruption at one severity.

    Raises:
        EvaluationError: unknown corruption (the message lists the closest), severity or set.
    """
    if constants not in _TABLES:
        known = ", ".join(get_args(ConstantSet))
        raise EvaluationError(f"unknown set of constants '{constants}'; known: {known}")
    if corruption not in ALL_CORRUPTIONS:
        close = difflib.get_close_matches(corruption, ALL_CORRUPTIONS, n=3, cutoff=0.4)
        label = "closest" if close else "known"
        shown = ", ".join(close or ALL_CORRUPTIONS)
        raise EvaluationError(f"unknown corruption '{corruption}'; {label}: {shown}")
    if severity not in SEVERITIES:
        raise EvaluationError(f"unknown severity {severity} of {corruption}; it goes from 1 to 5")
    return _TABLES[constants][corruption][severity - 1]
