"""The nineteen corruptions of ImageNet-C as plain float64 arithmetic, one picture at a time.

Written from the published scripts (hendrycks/robustness, ImageNet-C/create_c) on NumPy, SciPy,
scikit-image and Pillow, with the random draws as an argument: what our tensor functions are
compared with. Pictures are (height, width, 3); draws keep their own layout.
"""

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image
from scipy import ndimage
from scipy.stats import poisson
from skimage.color import hsv2rgb, rgb2hsv
from skimage.filters import gaussian
from torch import Tensor

from benchmarks.peers import opencv_reference as opencv

Picture = UInt8[np.ndarray, "height width 3"]
Unit = Float64[np.ndarray, "height width 3"]


def reference(corruption: str, picture: Picture, constants: Any, draws: Any = None) -> Picture:
    """Corrupt one picture by the published definition.

    Args:
        constants: from :func:`eval.corruptions.severities.constants_of`.
        draws: of this picture, from :func:`draws_of`.
    """
    result = DEFINITIONS[corruption](picture, constants, draws)
    return np.clip(result, 0, 255).astype(np.uint8)


def draws_of(draws: Any, number: int) -> Any:
    """The draws of one picture of a batch, as float64 or integer arrays."""
    if isinstance(draws, Tensor):
        array = draws[number].cpu().numpy()
        return array.astype(np.float64) if array.dtype == np.float32 else array
    if draws is None:
        return None
    parts = [draws_of(part, number) for part in draws]
    return type(draws)(*parts) if hasattr(draws, "_fields") else tuple(parts)


def gaussian_noise(picture: Picture, constants: Any, normals: Unit) -> Unit:
    return _bytes(_unit(picture) + constants.sigma * _last(normals))


def speckle_noise(picture: Picture, constants: Any, normals: Unit) -> Unit:
    x = _unit(picture)
    return _bytes(x + x * constants.sigma * _last(normals))


def shot_noise(picture: Picture, constants: Any, uniforms: Unit) -> Unit:
    counts = poisson.ppf(_last(uniforms), _unit(picture) * constants.photons)
    return _bytes(np.maximum(counts, 0) / constants.photons)


def impulse_noise(picture: Picture, constants: Any, draws: Any) -> Unit:
    x = _unit(picture)
    is_hit, shades = _last(draws.hits) <= constants.share, _last(draws.shades)
    x[is_hit & (shades <= 0.5)] = 1
    x[is_hit & (shades > 0.5)] = 0
    return _bytes(x)


def gaussian_blur(picture: Picture, constants: Any, _: None) -> Unit:
    return _bytes(gaussian(_unit(picture), sigma=constants.sigma, channel_axis=-1))


def defocus_blur(picture: Picture, constants: Any, _: None) -> Unit:
    radius = constants.radius
    places = np.arange(-8, 9) if radius <= 8 else np.arange(-radius, radius + 1)
    disk = (places[:, None] ** 2 + places**2 <= radius**2).astype(np.float64)
    taps = np.arange(-1, 2) if radius <= 8 else np.arange(-2, 3)
    edge = np.exp(-(taps**2) / (2 * constants.alias_sigma**2))
    edge = np.outer(edge, edge) / edge.sum() ** 2
    kernel = ndimage.correlate(disk / disk.sum(), edge, mode="mirror")
    return _bytes(ndimage.correlate(_unit(picture), kernel[..., None], mode="mirror"))


def glass_blur(picture: Picture, constants: Any, shifts: Any) -> Unit:
    smooth = gaussian(_unit(picture), sigma=constants.sigma, channel_axis=-1)
    x = (smooth * 255).astype(np.uint8)
    glass_loop(x, constants.max_shift, shifts)
    return _bytes(gaussian(x / 255.0, sigma=constants.sigma, channel_axis=-1))


def glass_loop(x: Picture, max_shift: int, shifts: Any) -> None:
    """Visit pixels from the lower right; each is overwritten by a near one, in place."""
    height, width = x.shape[:2]
    for down, right in zip(shifts.down, shifts.right, strict=True):
        for h in range(height - max_shift, max_shift, -1):
            for w in range(width - max_shift, max_shift, -1):
                x[h, w] = x[h + down[h, w], w + right[h, w]]


def motion_blur(picture: Picture, constants: Any, angle: np.ndarray) -> Unit:
    return _imagemagick_bytes(_motion(picture.astype(np.float64), constants, float(angle)))


def zoom_blur(picture: Picture, constants: Any, _: None) -> Unit:
    x = _unit(picture)
    factors = np.arange(1, constants.stop, constants.step)
    return _bytes((x + sum(_clipped_zoom(x, factor) for factor in factors)) / (len(factors) + 1))


def snow(picture: Picture, constants: Any, draws: Any) -> Unit:
    x = _unit(picture)
    layer = _clipped_zoom(constants.mean + constants.std * draws.normals[..., None], constants.zoom)
    layer[layer < constants.threshold] = 0
    layer = np.floor(np.clip(layer, 0, 1) * 255)
    layer = _imagemagick_bytes(_motion(layer, constants, float(draws.angles))) / 255
    gray = (x @ np.array([0.299, 0.587, 0.114]))[..., None]
    white = np.maximum(x, gray * 1.5 + 0.5)
    x = constants.blend * x + (1 - constants.blend) * white
    return _bytes(x + layer + np.rot90(layer, k=2))


def frost(picture: Picture, constants: Any, crop: np.ndarray) -> Unit:
    return constants.image_weight * picture.astype(np.float64) + constants.frost_weight * _last(
        crop
    )


def fog(picture: Picture, constants: Any, draws: Any) -> Unit:
    x = _unit(picture)
    brightest = x.max()
    height, width = x.shape[:2]
    clouds = diamond_square(draws.scales, constants.decay)[:height, :width, None]
    return _bytes((x + constants.strength * clouds) * brightest / (brightest + constants.strength))


def diamond_square(scales: Any, decay: float) -> Float64[np.ndarray, "side side"]:
    """One point after another on a grid that wraps around."""
    side = 2 ** len(scales)
    heights = np.zeros((side, side))
    roughness = 100.0
    for noise in scales:
        cells = noise.shape[1]
        step, half = side // cells, side // cells // 2
        noise = roughness * roughness * noise.reshape(3, cells, cells)
        for points, (dy, dx) in enumerate([(half, half), (0, half), (half, 0)]):
            arms = [(half, half), (half, -half), (-half, half), (-half, -half)]
            if points:
                arms = [(half, 0), (-half, 0), (0, half), (0, -half)]
            for i in range(cells):
                for j in range(cells):
                    y, x = i * step + dy, j * step + dx
                    near = [heights[(y + a) % side, (x + b) % side] for a, b in arms]
                    heights[y, x] = sum(near) / 4 + noise[points, i, j]
        roughness /= decay
    heights -= heights.min()
    return heights / heights.max()


def spatter(picture: Picture, constants: Any, normals: np.ndarray) -> Unit:
    liquid = gaussian(constants.mean + constants.std * normals, sigma=constants.sigma)
    liquid[liquid < constants.threshold] = 0
    x = _unit(picture)
    if constants.is_mud:
        mud = gaussian((liquid > constants.threshold).astype(np.float32), sigma=constants.strength)
        mud = np.where(mud < 0.8, 0, mud.astype(np.float64))[..., None]
        return _bytes(x * (1 - mud) + mud * np.array([63, 42, 20]) / 255)
    level = (liquid * 255).astype(np.int64) % 256
    distances = np.minimum(opencv.chamfer_distances(opencv.canny(level, 50, 150)), 20)
    near = opencv.equalize(opencv.box_mean(distances).astype(np.int64))
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    near = np.clip(ndimage.correlate(near, emboss, mode="mirror"), 0, 255).astype(np.float64)
    sheen = level * np.rint(opencv.box_mean(near))
    sheen = constants.strength * sheen / max(sheen.max(), 1)
    return _bytes(x + sheen[..., None] * np.array([175, 238, 238]) / 255)


def brightness(picture: Picture, constants: Any, _: None) -> Unit:
    x = rgb2hsv(_unit(picture))
    x[..., 2] = np.clip(x[..., 2] + constants.shift, 0, 1)
    return _bytes(hsv2rgb(x))


def saturate(picture: Picture, constants: Any, _: None) -> Unit:
    x = rgb2hsv(_unit(picture))
    x[..., 1] = np.clip(x[..., 1] * constants.scale + constants.shift, 0, 1)
    return _bytes(hsv2rgb(x))


def contrast(picture: Picture, constants: Any, _: None) -> Unit:
    x = _unit(picture)
    means = x.mean(axis=(0, 1), keepdims=True)
    return _bytes((x - means) * constants.scale + means)


def elastic_transform(picture: Picture, constants: Any, draws: Any) -> Unit:
    x = _unit(picture)
    height, width = x.shape[:2]
    middle, arm = np.array([height // 2, width // 2]), min(height, width) // 3
    before = middle + arm * np.array([[1, 1], [1, -1], [-1, -1]], dtype=np.float32)
    after = before.astype(np.float32) + (draws.corners * constants.affine).astype(np.float32)
    # the map that takes (x, y, 1) of each corner after to the corner before
    inverse = np.linalg.solve(np.column_stack([after, np.ones(3)]).astype(np.float64), before).T
    x = opencv.warp_affine(x, inverse)
    right, down = (
        gaussian(moves, sigma=constants.sigma, mode="reflect", truncate=3) * constants.alpha
        for moves in (draws.right, draws.down)
    )
    rows, columns = np.mgrid[0:height, 0:width]
    places = [rows + down, columns + right]
    channels = [
        ndimage.map_coordinates(x[..., channel], places, order=1, mode="reflect")
        for channel in range(3)
    ]
    return _bytes(np.stack(channels, axis=-1))


def pixelate(picture: Picture, constants: Any, _: None) -> Picture:
    height, width = picture.shape[:2]
    small = (int(width * constants.scale), int(height * constants.scale))
    shrunk = Image.fromarray(picture).resize(small, Image.Resampling.BOX)
    return np.asarray(shrunk.resize((width, height), Image.Resampling.BOX))


def jpeg_compression(picture: Picture, constants: Any, _: None) -> Picture:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=constants.quality)
    return np.asarray(Image.open(stream, formats=("JPEG",)))


def _unit(picture: Picture) -> Unit:
    return picture / 255.0


def _last(array: np.ndarray) -> np.ndarray:
    """Colours from the first axis to the last."""
    return np.moveaxis(array, 0, -1)


def _bytes(x: Unit) -> Unit:
    return np.clip(x, 0, 1) * 255


def _imagemagick_bytes(levels: np.ndarray) -> np.ndarray:
    """Rounded to one of 65,536 quanta, then cut to bytes, as version 6.9 writes a PNG."""
    return np.floor(levels * 257 + 0.5) // 257


def _motion(x: np.ndarray, constants: Any, angle: float) -> np.ndarray:
    """ImageMagick's one-sided trail: whole pixels, borders repeated."""
    taps = np.arange(2 * constants.radius + 1)
    weights = np.exp(-(taps**2) / (2 * constants.sigma**2))
    slope = math.radians(angle)
    height, width = x.shape[:2]
    total = np.zeros_like(x)
    for tap, weight in zip(taps, weights / weights.sum(), strict=True):
        down = math.ceil(tap * math.sin(slope) - 0.5)
        right = math.ceil(tap * math.cos(slope) - 0.5)
        rows = np.clip(np.arange(height) + down, 0, height - 1)
        columns = np.clip(np.arange(width) + right, 0, width - 1)
        total += weight * x[rows[:, None], columns]
    return total


def _clipped_zoom(x: np.ndarray, factor: float) -> np.ndarray:
    """Enlarge the middle so that it fills the frame."""
    sides = x.shape[:2]
    parts = [math.ceil(side / factor) for side in sides]
    tops = [(side - part) // 2 for side, part in zip(sides, parts, strict=True)]
    middle = x[tops[0] : tops[0] + parts[0], tops[1] : tops[1] + parts[1]]
    large = np.asarray(ndimage.zoom(middle, (factor, factor, 1), order=1))
    trims = [(have - side) // 2 for have, side in zip(large.shape, sides, strict=False)]
    return large[trims[0] : trims[0] + sides[0], trims[1] : trims[1] + sides[1]]


DEFINITIONS: dict[str, Callable[[Picture, Any, Any], Any]] = {
    definition.__name__: definition
    for definition in (
        *(gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur),
        *(zoom_blur, snow, frost, fog, brightness, contrast, elastic_transform, pixelate),
        *(jpeg_compression, speckle_noise, gaussian_blur, spatter, saturate),
    )
}
