"""Pictures to uint8 tensors: random crops and colour for training, a fixed view for evaluation.

Normalisation to float happens later and on the device; uint8 is a quarter of the bytes to move.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as geometry

from vlsuite.batches.crops import crop_box, largest_shrink, resized_crop
from vlsuite.batches.pictures import JpegPicture, PillowPicture, open_picture
from vlsuite.errors import ConfigError

_PILLOW_FILTER = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_FILL = (255, 255, 255)


@dataclass(frozen=True, kw_only=True, slots=True)
class AugmentConfig:
    """Random changes to a training picture, drawn in the order of the fields.

    Attributes:
        rotation: degrees, drawn from [-rotation, rotation]; corners are filled with white.
        translation: share of the side, drawn from [-translation, translation] on both axes.
        zoom_out: the picture is shrunk by up to this share of its side before cropping.
        crop_scale: range of the cropped share of the area (open_clip's default is 0.9 to 1.0).
        crop_ratio: range of width over height of the crop.
        flip_probability: mirrored left to right.
        color_jitter: strength of brightness, contrast and saturation changes, 0 for none.
        hue: largest hue shift as a share of the circle, 0 to 0.5.
        grayscale_probability: made gray.
        outline_probability: replaced by its outlines, dark on white (see :func:`outlined`).
    """

    rotation: float = 0.0
    translation: float = 0.0
    zoom_out: float = 0.0
    crop_scale: tuple[float, ...] = (0.9, 1.0)
    crop_ratio: tuple[float, ...] = (3 / 4, 4 / 3)
    flip_probability: float = 0.0
    color_jitter: float = 0.0
    hue: float = 0.0
    grayscale_probability: float = 0.0
    outline_probability: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise ConfigError(
                f"crop_scale {self.crop_scale} must satisfy 0 < low <= high <= 1; set "
                f"data.augment.crop_scale=0.9,1.0"
            )


class View(NamedTuple):
    """A picture ready for a batch, and what had to be put right in it, for counting.

    ``pixels`` are uint8 [3, height, width] with the channels last in memory.
    """

    pixels: Tensor
    mended: tuple[str, ...]


class _Motion(NamedTuple):
    """Degrees, shares of width and height, and a factor."""

    angle: float
    shift: tuple[float, float]
    zoom: float


class TrainTransform:
    """Random view of an encoded picture as uint8 [3, height, width].

    The crop is drawn from the size in the header. A JPEG is then decoded at 1/2, 1/4 or 1/8
    where the crop keeps at least one pixel for each pixel of the view; its box is widened to
    whole decoded pixels. At full size the view is within 2 levels of 255 of Pillow's crop and
    resize of the same box. From a reduced JPEG it differs from the full decode by 2.3 levels on
    average (photographs, views of 56 pixels; single pixels at sharp edges by up to 190), since
    that is another low-pass filter: benchmarks/loader_throughput.py measures both.

    Args:
        config: what to draw from.
        size: (height, width) of the view in pixels.
        interpolation: "bicubic" or "bilinear".
    """

    def __init__(self, config: AugmentConfig, *, size: tuple[int, int], interpolation: str) -> None:
        self.config = config
        self.size = (size[0], size[1])
        self.interpolation = interpolation

    def view(self, data: bytes, rng: np.random.Generator) -> View:
        """Decode an encoded picture and draw its view: a function of the bytes and ``rng`` alone.

        Raises:
            BadSampleError: it cannot be decoded; see ``decode_and_mend`` and ``JpegPicture``.
        """
        return self.of_picture(open_picture(data), rng)

    def of_picture(self, picture: JpegPicture | PillowPicture, rng: np.random.Generator) -> View:
        """Draw the view of an opened picture; see :meth:`view`."""
        config = self.config
        motion = self._motion(rng)
        box = crop_box(
            (picture.width, picture.height), rng, scale=config.crop_scale, ratio=config.crop_ratio
        )
        pixels, shrink, mended = picture.decode(shrink=largest_shrink(box, self.size))
        if motion is not None:
            pixels = _moved(pixels, motion)
        view = resized_crop(
            pixels, box.shrunk(shrink), size=self.size, interpolation=self.interpolation
        )
        if config.flip_probability and rng.random() < config.flip_probability:
            view = view.flip(-1)
        return View(self._recoloured(view, rng), mended)

    def _motion(self, rng: np.random.Generator) -> _Motion | None:
        config = self.config
        if not (config.rotation or config.translation or config.zoom_out):
            return None
        angle = rng.uniform(-config.rotation, config.rotation)
        x, y = rng.uniform(-config.translation, config.translation, size=2).tolist()
        return _Motion(float(angle), (x, y), float(1.0 - rng.uniform(0.0, config.zoom_out)))

    def _recoloured(self, view: Tensor, rng: np.random.Generator) -> Tensor:
        config = self.config
        if not (
            config.color_jitter
            or config.hue
            or config.grayscale_probability
            or config.outline_probability
        ):
            return view
        # torchvision's signatures know tensors only; all of this is done by Pillow.
        image: Any = Image.fromarray(view.permute(1, 2, 0).contiguous().numpy())
        if config.color_jitter:
            low, high = 1 - config.color_jitter, 1 + config.color_jitter
            brightness, contrast, saturation = rng.uniform(low, high, size=3).tolist()
            image = geometry.adjust_brightness(image, brightness)
            image = geometry.adjust_contrast(image, contrast)
            image = geometry.adjust_saturation(image, saturation)
        if config.hue:
            shift = float(rng.uniform(-config.hue, config.hue))
            image = geometry.adjust_hue(image, shift)
        if config.grayscale_probability and rng.random() < config.grayscale_probability:
            image = image.convert("L").convert("RGB")
        if config.outline_probability and rng.random() < config.outline_probability:
            image = outlined(image)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _moved(pixels: np.ndarray, motion: _Motion) -> np.ndarray:
    height, width = pixels.shape[:2]
    image = geometry.affine(
        Image.fromarray(pixels),  # type: ignore[arg-type]
        angle=motion.angle,
        translate=[round(motion.shift[0] * width), round(motion.shift[1] * height)],
        scale=motion.zoom,
        shear=[0.0, 0.0],
        interpolation=InterpolationMode.BILINEAR,
        fill=list(_FILL),
    )
    return np.array(image)


def outlined(image: Image.Image) -> Image.Image:
    """The picture as a line drawing: dark where neighbouring pixels differ, white elsewhere.

    The morphological gradient (3 x 3 dilation minus erosion, the largest over the channels),
    four times as strong and inverted.
    """
    dilated = np.asarray(image.filter(ImageFilter.MaxFilter(3)), dtype=np.int16)
    eroded = np.asarray(image.filter(ImageFilter.MinFilter(3)), dtype=np.int16)
    strength = (dilated - eroded).max(axis=2)
    lines = np.clip(255 - 4 * strength, 0, 255).astype(np.uint8)
    return Image.fromarray(lines).convert("RGB")


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalTransform:
    """The fixed view a model was published with, as uint8 [3, height, width].

    Equal to open_clip's evaluation transform up to its normalisation.

    Attributes:
        size: (height, width) in pixels.
        interpolation: "bicubic" or "bilinear".
        resize_mode: "shortest" (resize, centre crop), "squash", or "longest" (resize, pad).
        fill_color: gray value of the padding under "longest".
    """

    size: tuple[int, int]
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = field(default=0)

    def __call__(self, image: Image.Image) -> UInt8[Tensor, "3 height width"]:
        height, width = self.size
        resample = _PILLOW_FILTER[self.interpolation]
        if self.resize_mode == "squash":
            return to_uint8(image.resize((width, height), resample))
        if self.resize_mode == "longest":
            return to_uint8(self._padded(image, resample))
        if height == width:
            image = _shortest_side_to(image, height, resample)
        else:
            # open_clip always resizes with bicubic here
            ratio = min(image.height / height, image.width / width)
            image = image.resize(_divided(image, ratio), Image.Resampling.BICUBIC)
        return to_uint8(geometry.center_crop(image, [height, width]))  # type: ignore[arg-type]

    def _padded(self, image: Image.Image, resample: Image.Resampling) -> Image.Image:
        height, width = self.size
        image = image.resize(
            _divided(image, max(image.height / height, image.width / width)), resample
        )
        canvas = Image.new("RGB", (width, height), (self.fill_color,) * 3)
        canvas.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
        return canvas


def _divided(image: Image.Image, ratio: float) -> tuple[int, int]:
    """(width, height) of the picture divided by ``ratio``, rounded as open_clip rounds.

    Never 0, where open_clip would fail on a very long picture.
    """
    return max(1, round(image.width / ratio)), max(1, round(image.height / ratio))


def _shortest_side_to(image: Image.Image, side: int, resample: Image.Resampling) -> Image.Image:
    width, height = image.size
    if width <= height:
        scaled = (side, int(side * height / width))
    else:
        scaled = (int(side * width / height), side)
    return image if scaled == image.size else image.resize(scaled, resample)


def eval_transform(preprocess: dict[str, Any]) -> EvalTransform:
    """The evaluation view that belongs to a model's preprocessing description."""
    fill = preprocess.get("fill_color", 0)
    return EvalTransform(
        size=tuple(preprocess["size"]),
        interpolation=preprocess.get("interpolation", "bicubic"),
        resize_mode=preprocess.get("resize_mode", "shortest"),
        fill_color=fill if isinstance(fill, int) else fill[0],
    )


def to_uint8(image: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """Pixels of an RGB picture as a tensor of its own."""
    return torch.from_numpy(np.array(image, copy=True)).permute(2, 0, 1).contiguous()


def channels(values: Any, device: torch.device) -> Float[Tensor, "3 1 1"]:
    """Per-channel constants in the shape that broadcasts over pictures."""
    return torch.tensor(values, dtype=torch.float32, device=device).reshape(3, 1, 1)


def train_transform(augment: AugmentConfig, preprocess: dict[str, Any]) -> TrainTransform:
    """The training view that belongs to a model's preprocessing description."""
    return TrainTransform(
        augment,
        size=preprocess["size"],
        interpolation=preprocess.get("interpolation", "bicubic"),
    )


def pixels_for(
    images: UInt8[Tensor, "batch 3 height width"],
    preprocess: dict[str, Any],
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Float[Tensor, "batch 3 height width"]:
    """Images on a device, normalised by the mean and std of a model's preprocessing.

    Raises:
        ConfigError: see :func:`normalise`.
    """
    return normalise(
        images.to(device, non_blocking=True),
        mean=channels(preprocess["mean"], device),
        std=channels(preprocess["std"], device),
        dtype=dtype,
    )


def normalise(
    images: UInt8[Tensor, "batch 3 height width"], *, mean: Tensor, std: Tensor, dtype: torch.dtype
) -> Float[Tensor, "batch 3 height width"]:
    """(pixel / 255 - mean) / std on whatever device the images are.

    Args:
        images: 0 to 255.
        mean: per channel in [0, 1], shape [3, 1, 1].
        std: per channel, same shape.
        dtype: of the result; computed in fp32.
    Raises:
        ConfigError: the images are of another type, which could mean any scale.
    Returns:
        Contiguous, whatever the order of the images in memory.
    """
    if images.dtype != torch.uint8:
        raise ConfigError(
            f"pixels are {images.dtype}; give uint8 from 0 to 255, as image_transform makes them"
        )
    scaled = images.to(torch.float32, memory_format=torch.contiguous_format)
    return scaled.div_(255.0).sub_(mean).div_(std).to(dtype)
