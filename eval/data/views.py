"""Views: what becomes of a picture before a model sees it, in two steps.

A ``Frame`` turns one picture of any size into pixels of a fixed size; it runs in decoding
threads. A ``View`` changes a batch of frames at once, on the CPU or the GPU. Views that share a
frame (75 corruptions of one 224-pixel crop) share its work, and all views of a data set share
one reading and decoding of each picture.

``key`` names a frame or a view with everything its pixels depend on besides the picture and the
model: embeddings are stored under it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from eval.data.raw_image import RawImage
from vlsuite.batches.transforms import to_uint8

#: Resizes and crops an RGB picture of any size to a model's pixels; thread-safe.
ImageTransform = Callable[[Image.Image], UInt8[Tensor, "3 height width"]]


@runtime_checkable
class Frame(Protocol):
    """One picture to pixels of a fixed size. Hashable; equal frames give equal pixels."""

    @property
    def key(self) -> str:
        """See the module."""
        ...

    def __call__(
        self, picture: RawImage, transform: ImageTransform
    ) -> UInt8[Tensor, "3 height width"]:
        """Pixels in [0, 255]; a function of the picture, its id and the transform alone.

        Raises:
            DataError: the picture is broken, or lacks what the frame needs; it is counted.
        """
        ...


@runtime_checkable
class View(Protocol):
    """A batch of frames to the pictures that a model is shown."""

    @property
    def key(self) -> str:
        """See the module; "plain" is the picture as it is."""
        ...

    @property
    def frame(self) -> Frame:
        """What ``apply`` starts from."""
        ...

    @property
    def needs_transform(self) -> bool:
        """Whether ``apply``'s pictures still have to pass the model's own transform."""
        ...

    def apply(
        self, frames: UInt8[Tensor, "batch 3 height width"], image_ids: Sequence[int]
    ) -> UInt8[Tensor, "batch 3 new_height new_width"]:
        """The changed pictures, on the same device; each depends on its own frame and id alone."""
        ...


@dataclass(frozen=True, slots=True)
class ModelFrame:
    """The model's own transform: what it is shown in every ordinary evaluation."""

    @property
    def key(self) -> str:
        """See ``Frame``."""
        return "model"

    def __call__(
        self, picture: RawImage, transform: ImageTransform
    ) -> UInt8[Tensor, "3 height width"]:
        """See ``Frame``."""
        return transform(picture.rgb)


@dataclass(frozen=True, slots=True)
class CropFrame:
    """Shorter side resized, then the centre cropped: the frame that corruptions are defined on.

    Args:
        resize: length of the shorter side in pixels (ImageNet-C: 256).
        crop: side of the square (ImageNet-C: 224).
    """

    resize: int = 256
    crop: int = 224

    @property
    def key(self) -> str:
        """See ``Frame``."""
        return f"crop{self.resize}-{self.crop}"

    def __call__(
        self, picture: RawImage, transform: ImageTransform
    ) -> UInt8[Tensor, "3 height width"]:
        """Bilinear with antialiasing, as torchvision's Resize(256), CenterCrop(224) on pictures."""
        return to_uint8(centre_crop(shorter_side(picture.rgb, self.resize), self.crop))


@dataclass(frozen=True, slots=True)
class FrameView:
    """A frame as it is: for views that are made picture by picture.

    Args:
        frame: what the model is shown.
        needs_transform: whether the frame still has to pass the model's own transform.
    """

    frame: Frame
    needs_transform: bool = False

    @property
    def key(self) -> str:
        """See ``View``."""
        return "plain" if self.frame == ModelFrame() else self.frame.key

    def apply(
        self, frames: UInt8[Tensor, "batch 3 height width"], image_ids: Sequence[int]
    ) -> UInt8[Tensor, "batch 3 new_height new_width"]:
        """See ``View``."""
        return frames


#: The picture as the model sees it in every ordinary evaluation.
PLAIN = FrameView(ModelFrame())


def shorter_side(
    image: Image.Image,
    side: int,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """Resize so that the shorter side has ``side`` pixels, the other one truncated."""
    width, height = image.size
    short = min(width, height)
    if short == side:
        return image
    size = (side * width // short, side * height // short)
    return image.resize(size, resample)


def centre_crop(image: Image.Image, side: int) -> Image.Image:
    """The square in the middle; the picture is at least that large."""
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    return image.crop((left, top, left + side, top + side))
