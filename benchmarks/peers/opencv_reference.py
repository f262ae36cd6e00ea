"""Steps of OpenCV 4 that published corruptions rely on, as plain loops over their definitions.

Slow on purpose: what our tensor functions are compared with. Compared by hand with OpenCV 4.8.1.
"""

import math

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy import ndimage

Levels = Int64[np.ndarray, "height width"]

_FIXED = 1 << 16
_AROUND = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]


def canny(levels: Levels, low: int, high: int) -> Bool[np.ndarray, "height width"]:
    """Edges of Canny 1986 with a 3 x 3 Sobel filter and the sum of absolute derivatives."""
    height, width = levels.shape
    right = ndimage.sobel(levels, axis=1, mode="nearest")
    down = ndimage.sobel(levels, axis=0, mode="nearest")
    strength = np.pad(np.abs(right) + np.abs(down), 1)
    ridges = np.zeros(levels.shape, dtype=bool)
    for y in range(height):
        for x in range(width):
            here = strength[y + 1, x + 1]
            if here <= low:
                continue
            dy, dx, strict = _across(int(right[y, x]), int(down[y, x]))
            before = strength[y + 1 - dy, x + 1 - dx]
            after = strength[y + 1 + dy, x + 1 + dx]
            ridges[y, x] = here > before and (here > after if strict else here >= after)
    return _spread(ridges & (strength[1:-1, 1:-1] > high), ridges)


def chamfer_distances(marks: Bool[np.ndarray, "height width"]) -> Float64[np.ndarray, "..."]:
    """Distance to the nearest mark by two sweeps with a 5 x 5 mask (Borgefors 1986), L2 weights."""
    straight, diagonal, knight = (round(step * _FIXED) for step in (1.0, 1.4, 2.1969))
    above = [(-1, -1, diagonal), (-1, 0, straight), (-1, 1, diagonal), (0, -1, straight)]
    above += [(-1, -2, knight), (-1, 2, knight), (-2, -1, knight), (-2, 1, knight)]
    height, width = marks.shape
    distances = np.full((height + 4, width + 4), 1 << 40)
    distances[2:-2, 2:-2][marks] = 0
    for turn in (1, -1):
        for y in range(height)[::turn]:
            for x in range(width)[::turn]:
                best = min(distances[y + 2 + turn * a, x + 2 + turn * b] + c for a, b, c in above)
                distances[y + 2, x + 2] = min(distances[y + 2, x + 2], best)
    return distances[2:-2, 2:-2] / _FIXED


def box_mean(values: Float64[np.ndarray, "height width"]) -> Float64[np.ndarray, "height width"]:
    """Mean of 3 x 3, borders mirrored without the last pixel."""
    total = ndimage.correlate(values, np.ones((3, 3)), mode="mirror")
    return (total * (1 / 9)).astype(np.float32).astype(np.float64)


def equalize(levels: Levels) -> Levels:
    """Histogram equalisation; the lowest level present becomes 0."""
    counts = np.bincount(levels.ravel(), minlength=256)
    lowest = int(levels.min())
    others = levels.size - counts[lowest]
    if others == 0:
        return levels
    scale = np.float32(255) / np.float32(others)
    table = np.zeros(256, dtype=np.int64)
    total = 0
    for level in range(lowest + 1, 256):
        total += int(counts[level])
        table[level] = round(float(np.float32(total) * scale))
    return table[levels]


def warp_affine(
    image: Float64[np.ndarray, "height width channels"],
    inverse: Float64[np.ndarray, "2 3"],
) -> Float64[np.ndarray, "height width channels"]:
    """Linear reading at places cut to 1/32 pixel, borders mirrored without the last pixel."""
    height, width, _ = image.shape
    across, along = np.arange(width), np.arange(height)[:, None]
    places = []
    for a, b, c in inverse:
        sums = np.rint(a * across * 1024).astype(int) + np.rint((b * along + c) * 1024).astype(int)
        places.append((sums + 16) >> 5)
    x, y = (place >> 5 for place in places)
    right, down = ((place & 31)[..., None] / 32 for place in places)

    def at(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        return image[_mirror(rows, height), _mirror(columns, width)]

    upper = at(y, x) * (1 - right) + at(y, x + 1) * right
    lower = at(y + 1, x) * (1 - right) + at(y + 1, x + 1) * right
    return upper * (1 - down) + lower * down


def _across(right: int, down: int) -> tuple[int, int, bool]:
    """Step along the gradient, to a quarter turn, and whether both neighbours must be smaller."""
    wide, tall = abs(right), abs(down) << 15
    flat = wide * round(math.tan(math.pi / 8) * (1 << 15))
    if tall < flat:
        return 0, 1, False
    if tall > flat + (wide << 16):
        return 1, 0, False
    return 1, -1 if (right ^ down) < 0 else 1, True


def _spread(seeds: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    found = seeds.copy()
    waiting = list(zip(*np.nonzero(seeds), strict=True))
    while waiting:
        y, x = waiting.pop()
        for dy, dx in _AROUND:
            place = (y + dy, x + dx)
            inside = 0 <= place[0] < allowed.shape[0] and 0 <= place[1] < allowed.shape[1]
            if inside and allowed[place] and not found[place]:
                found[place] = True
                waiting.append(place)
    return found


def _mirror(places: np.ndarray, length: int) -> np.ndarray:
    folded = np.abs(places) % (2 * length - 2)
    return np.minimum(folded, 2 * length - 2 - folded)
