"""Brightness, contrast, saturation, pixelation and JPEG.

Hendrycks and Dietterich 2019, arXiv 1903.12261; definitions as in their scripts (see
:mod:`eval.corruptions.severities`).
"""

import io
from functools import lru_cache

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from eval.corruptions.pixels import Images, intensities, to_bytes
from eval.corruptions.severities import Brightness, Contrast, Jpeg, Pixelate, Saturate


def brightness(images: Images, constants: Brightness) -> Images:
    """Raise the value of HSV.

    With hue and saturation unchanged every channel grows by the same factor as the value; black
    has no hue or saturation and becomes gray.
    """
    values = intensities(images)
    value = values.amax(dim=1, keepdim=True)
    raised = (value + constants.shift).clamp_(max=1)
    scaled = values.mul_(raised / value)
    return to_bytes(torch.where(value > 0, scaled, raised))


def saturate(images: Images, constants: Saturate) -> Images:
    """Scale and shift the saturation of HSV.

    With hue and value unchanged, each channel's distance below the value grows by the same
    factor as the saturation. Gray has hue 0, red, so a shift turns it reddish, as published.
    """
    values = intensities(images)
    value = values.amax(dim=1, keepdim=True)
    spread = value - values.amin(dim=1, keepdim=True)
    is_gray = spread == 0
    saturation = torch.where(is_gray, 0.0, spread / value)
    saturation = saturation.mul_(constants.scale).add_(constants.shift).clamp_(0, 1)
    below = (value - values).div_(spread)
    red = torch.tensor([0.0, 1.0, 1.0], device=images.device).view(3, 1, 1)
    below = torch.where(is_gray, red, below)
    return to_bytes(value * (1 - below.mul_(saturation)))


def contrast(images: Images, constants: Contrast) -> Images:
    """Pull every value towards the mean of its channel."""
    values = intensities(images)
    means = values.mean(dim=(2, 3), keepdim=True)
    return to_bytes(values.sub_(means).mul_(constants.scale).add_(means))


def pixelate(images: Images, constants: Pixelate) -> Images:
    """Shrink by averaging boxes, enlarge again by repeating pixels: Pillow's BOX filter twice.

    Pillow averages along rows first and rounds in between.
    """
    height, width = images.shape[-2:]
    rows, to_rows = _boxes(height, constants.scale, images.device)
    columns, to_columns = _boxes(width, constants.scale, images.device)
    narrow = (images.float() @ columns.T).add_(0.5).floor_()
    small = (rows @ narrow).add_(0.5).byte()
    return small.index_select(2, to_rows).index_select(3, to_columns)


def jpeg_compression(images: Images, constants: Jpeg) -> Images:
    """Compress and decompress with Pillow's encoder, one picture at a time on the CPU."""
    pixels = rearrange(images.cpu(), "batch channels height width -> batch height width channels")
    decoded = np.stack([_through_jpeg(picture, constants.quality) for picture in pixels.numpy()])
    shown = rearrange(decoded, "batch height width channels -> batch channels height width")
    return torch.from_numpy(np.ascontiguousarray(shown)).to(images.device)


def _through_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    with Image.open(stream, formats=("JPEG",)) as image:
        return np.asarray(image)


@lru_cache(maxsize=32)
def _boxes(
    length: int, scale: float, device: torch.device
) -> tuple[Float[Tensor, "small length"], Tensor]:
    """Averages of Pillow's BOX filter for one axis, and the small pixel that each place shows.

    A box holds the pixels whose middle lies within half a step of its own (Pillow's
    Resample.c, ``precompute_coeffs``).
    """
    small = int(length * scale)
    step = length / small
    middles = (np.arange(small) + 0.5) * step
    distances = (np.arange(length) + 0.5 - middles[:, None]) / step
    inside = (distances > -0.5) & (distances <= 0.5)
    averages = inside / inside.sum(axis=1, keepdims=True)
    shown = np.minimum(((np.arange(length) + 0.5) / step).astype(int), small - 1)
    return (
        torch.from_numpy(averages).float().to(device),
        torch.from_numpy(shown).to(device),
    )
