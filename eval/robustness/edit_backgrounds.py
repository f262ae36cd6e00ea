"""What an object is laid on: plain colours, noise, its own background blurred, other pictures."""

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image
from scipy.ndimage import gaussian_filter

from data_pipelines.errors import BadSampleError
from eval.data.dataset import StoredImages
from vlsuite.batches.decode import decode_image

COLOURS = {
    "gray": (128, 128, 128),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "green": (0, 160, 0),
}

#: Exponent b of noise whose amplitude falls as frequency^-b: 1 is that of natural pictures (Field
#: 1987), 0 is white noise, 2 has large soft blobs. Less exponent is more complex.
NOISE = {"noise_fine": 0.0, "noise_natural": 1.0, "noise_coarse": 2.0}

_NOISE_CONTRAST = 50.0  # standard deviation, of 255
_BLURS = (1 / 3, 1 / 6, 1 / 12, 1 / 24)  # standard deviations, of the side
_LITTLE = 0.02
_DRAWS = 8


def noise(side: int, exponent: float, *, seed: tuple[int, ...]) -> Image.Image:
    """Coloured noise with a given fall of amplitude with frequency, mean gray.

    Args:
        side: in pixels.
        exponent: see ``NOISE``.
        seed: of the draw.
    """
    generator = np.random.default_rng(seed)
    waves = np.fft.rfft2(generator.standard_normal((3, side, side)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = 1.0
    waves *= frequency**-exponent
    waves[:, 0, 0] = 0.0
    values = np.fft.irfft2(waves, s=(side, side))
    values *= _NOISE_CONTRAST / values.std(axis=(1, 2), keepdims=True)
    return _picture(np.moveaxis(values, 0, 2) + 128.0)


def blurred_around(
    rgb: Image.Image, mask: Float32[np.ndarray, "height width"], side: int
) -> Image.Image:
    """A picture without its object, blurred: each place takes the pixels near it that are not it.

    Gaussian blur of the picture outside the mask, divided by the blur of the outside itself; deep
    inside the object, where that is close to 0, the next wider blur shows.

    Args:
        rgb: the picture.
        mask: share of the object in each of its pixels.
        side: of the square that is cut from its middle and resized.
    Raises:
        BadSampleError: the mask covers all of it.
    """
    square = covering(rgb, side)
    covered = covering(Image.fromarray((255 * mask).round().astype(np.uint8)), side)
    outside = (np.asarray(covered) == 0).astype(np.float64)
    if not outside.any():
        raise BadSampleError("no background", "the mask covers the whole picture")
    pixels = np.asarray(square, dtype=np.float64)
    values = pixels[outside > 0].mean(axis=0)
    for blur in _BLURS:
        weight = gaussian_filter(outside, blur * side)[..., None]
        sums = gaussian_filter(pixels * outside[..., None], (blur * side, blur * side, 0))
        values = (sums + _LITTLE * values) / (weight + _LITTLE)
    return _picture(values)


def other_picture(pictures: StoredImages, side: int, *, seed: tuple[int, ...]) -> Image.Image:
    """The middle of a picture drawn from another data set; broken ones are passed over.

    Raises:
        BadSampleError: several in a row are broken.
    """
    generator = np.random.default_rng(seed)
    for row in generator.integers(len(pictures), size=_DRAWS).tolist():
        try:
            return covering(decode_image(pictures.read(row)), side)
        except BadSampleError:
            continue
    raise BadSampleError("no background", f"{_DRAWS} background pictures in a row are broken")


def covering(image: Image.Image, side: int) -> Image.Image:
    """The largest square in the middle, resized."""
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    square = image.crop((left, top, left + short, top + short))
    return square.resize((side, side), Image.Resampling.BICUBIC)


def _picture(values: Float[np.ndarray, "height width 3"]) -> Image.Image:
    pixels: UInt8[np.ndarray, "height width 3"] = values.round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)
