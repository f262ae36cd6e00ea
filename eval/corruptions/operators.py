"""One-dimensional linear filters as matrices: a separable filter is two small matrix products.

Borders are part of the matrix, so that each rule is written once and a filter runs as plain
matrix multiplication on any device. Matrices are made in float64 and cached.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

#: Names of scipy.ndimage: ``nearest`` a a|a b c|c c, ``reflect`` b a|a b c|c b, ``mirror``
#: c b|a b c|b a.
Border = Literal["nearest", "reflect", "mirror"]

_CACHED_MATRICES = 128


def filter_both(
    images: Float[Tensor, "*batch height width"],
    rows: Float[Tensor, "new_height height"],
    columns: Float[Tensor, "new_width width"],
) -> Float[Tensor, "*batch new_height new_width"]:
    """Apply one matrix down the columns and one along the rows."""
    return rows @ images @ columns.T


def gaussian_weights(sigma: float, radius: int) -> Float64[np.ndarray, " taps"]:
    """Samples of a normal density at -radius..radius, with sum 1, as scipy.ndimage makes them.

    ``sigma`` 0 leaves a single 1 in the middle.
    """
    places = np.arange(-radius, radius + 1)
    if sigma == 0:
        return (places == 0).astype(np.float64)
    weights = np.exp(-0.5 / (sigma * sigma) * places**2)
    return weights / weights.sum()


def gaussian_radius(sigma: float, truncate: float) -> int:
    """Where scipy.ndimage cuts a normal density off, in pixels."""
    return int(truncate * sigma + 0.5)


@lru_cache(maxsize=_CACHED_MATRICES)
def gaussian_matrix(
    length: int,
    sigma: float,
    *,
    border: Border = "nearest",
    truncate: float = 4.0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> Float[Tensor, "length length"]:
    """Normal smoothing of a line; the defaults are those of skimage.filters.gaussian.

    Args:
        sigma: in pixels.
        truncate: the filter ends at so many sigmas.
    """
    radius = gaussian_radius(sigma, truncate)
    matrix = taps_matrix(length, gaussian_weights(sigma, radius), border=border)
    return torch.from_numpy(matrix).to(device, dtype)


def taps_matrix(
    length: int, taps: Float64[np.ndarray, " taps"], *, border: Border
) -> Float64[np.ndarray, "length length"]:
    """Correlation of a line with an odd number of taps."""
    radius = len(taps) // 2
    places = np.arange(length)[:, None] + np.arange(-radius, radius + 1)
    sources = _BORDERS[border](places, length)
    matrix = np.zeros((length, length))
    np.add.at(matrix, (np.arange(length)[:, None], sources), taps)
    return matrix


def crop_of_zoom(length: int, factor: float) -> tuple[slice, int, int]:
    """Part of a line that fills it again when enlarged, the enlarged length, and what to trim.

    The published scripts' ``clipped_zoom``: the part is rounded up, the enlarged line rounded to
    the nearest whole, and what is too much is cut off on both sides.
    """
    part = math.ceil(length / factor)
    first = (length - part) // 2
    enlarged = round(part * factor)
    return slice(first, first + part), enlarged, (enlarged - length) // 2


@lru_cache(maxsize=_CACHED_MATRICES)
def zoom_matrix(
    length: int,
    factor: float,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> Float[Tensor, "length part"]:
    """Linear enlargement of the middle of a line, first and last pixel staying in place."""
    part, enlarged, trim = crop_of_zoom(length, factor)
    width = part.stop - part.start
    step = (width - 1) / max(enlarged - 1, 1)
    places = np.minimum(np.arange(enlarged) * step, width - 1)
    lower = np.minimum(np.floor(places).astype(int), max(width - 2, 0))
    matrix = np.zeros((enlarged, width))
    matrix[np.arange(enlarged), lower] = 1 - (places - lower)
    matrix[np.arange(enlarged), np.minimum(lower + 1, width - 1)] += places - lower
    return torch.from_numpy(matrix[trim : trim + length]).to(device, dtype)


def _nearest(places: np.ndarray, length: int) -> np.ndarray:
    return places.clip(0, length - 1)


def _reflect(places: np.ndarray, length: int) -> np.ndarray:
    folded = places % (2 * length)
    return np.minimum(folded, 2 * length - 1 - folded)


def _mirror(places: np.ndarray, length: int) -> np.ndarray:
    period = max(2 * (length - 1), 1)
    folded = places % period
    return np.minimum(folded, period - folded)


_BORDERS: dict[Border, Callable[[np.ndarray, int], np.ndarray]] = {
    "nearest": _nearest,
    "reflect": _reflect,
    "mirror": _mirror,
}
