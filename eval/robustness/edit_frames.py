"""One object, cut out and laid on a background at a chosen size, place and angle.

The edits of ImageNet-E (Li et al. 2023, arXiv 2303.17096) on any picture with a mask or an alpha
channel: what they make with a diffusion model is made here by plain composition, so figures are
not comparable with theirs. The canvas is a square, of which a model that resizes and crops its
middle sees all; the object is never cut.
"""

import threading
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.errors import BadSampleError
from data_pipelines.image_formats import open_image
from eval.data.dataset import StoredImages
from eval.data.raw_image import RawImage
from eval.data.views import ImageTransform
from eval.robustness.edit_backgrounds import COLOURS, NOISE, blurred_around, noise, other_picture

SIDE = 320  # pixels
BLURRED_OWN, OTHER_PICTURE = "blurred_own", "other_picture"
CENTRE = "centre"

#: Where the object touches the canvas, as shares of the free width and height to its left and top.
POSITIONS = {
    CENTRE: (0.5, 0.5),
    "top_left": (0.0, 0.0),
    "top_right": (1.0, 0.0),
    "bottom_left": (0.0, 1.0),
    "bottom_right": (1.0, 1.0),
}

_VISIBLE = 0.05
_NOISE_DRAW, _PICTURE_DRAW = 1, 2

# Two dozen frames of a picture use the same cut-out.
_CUT_OUTS: "WeakKeyDictionary[RawImage, Image.Image]" = WeakKeyDictionary()
_CUT_OUTS_LOCK = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class EditFrame:
    """The composition that a model is shown, as a ``Frame``.

    Args:
        background: one of ``COLOURS`` or ``NOISE``, "blurred_own" or "other_picture".
        scale: longer side of the object as a share of the canvas, in (0, 1].
        position: one of ``POSITIONS``.
        angle: degrees, counter-clockwise; the object keeps its size.
        pictures: for "other_picture".
        pictures_revision: tells the pictures apart.
    """

    background: str = "gray"
    scale: float = 0.6
    position: str = CENTRE
    angle: int = 0
    pictures: StoredImages | None = field(default=None, compare=False)
    pictures_revision: str = ""

    @property
    def key(self) -> str:
        """See ``Frame``."""
        parts = [self.background, f"{self.scale:g}", self.position, str(self.angle)]
        return "edit-" + "-".join([*parts, self.pictures_revision[:16]])

    def __call__(
        self, picture: RawImage, transform: ImageTransform
    ) -> UInt8[Tensor, "3 height width"]:
        """See ``Frame``.

        Raises:
            BadSampleError: "no mask", "empty mask" or "no background".
        """
        return transform(self.compose(picture))

    def compose(self, picture: RawImage) -> Image.Image:
        """The square canvas with the object on it.

        Raises:
            BadSampleError: see ``__call__``.
        """
        cut = _remembered_cut_out(picture)
        canvas = self._canvas(picture)
        ratio = self.scale * SIDE / max(cut.size)
        size = [max(1, round(length * ratio)) for length in cut.size]
        cut = cut.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        if self.angle:
            cut = cut.rotate(self.angle, Image.Resampling.BICUBIC, expand=True)
            cut = cut.crop(cut.getbbox() or (0, 0, *cut.size))
        x, y = POSITIONS[self.position]
        place = (round(x * (SIDE - cut.width)), round(y * (SIDE - cut.height)))
        canvas.paste(cut, place, cut)
        return canvas

    def _canvas(self, picture: RawImage) -> Image.Image:
        if self.background in COLOURS:
            return Image.new("RGB", (SIDE, SIDE), COLOURS[self.background])
        if self.background in NOISE:
            seed = (picture.image_id, _NOISE_DRAW)
            return noise(SIDE, NOISE[self.background], seed=seed)
        if self.background == BLURRED_OWN:
            if has_alpha(picture):
                raise BadSampleError(
                    "no background", "the picture is transparent around the object"
                )
            assert picture.mask is not None
            return blurred_around(picture.rgb, picture.mask, SIDE)
        assert self.background == OTHER_PICTURE
        assert self.pictures is not None
        return other_picture(self.pictures, SIDE, seed=(picture.image_id, _PICTURE_DRAW))


def cut_out(picture: RawImage) -> Image.Image:
    """The object as RGBA, cropped to the pixels where it is seen.

    Colours of half-transparent pixels are those of the object: the white that every picture is
    laid on is taken out again.

    Raises:
        BadSampleError: "no mask" or "empty mask".
    """
    rgb, mask = picture.rgb, picture.mask
    if mask is None:
        raise BadSampleError("no mask", "neither a mask member nor an alpha channel")
    pixels = np.asarray(rgb, dtype=np.float32)
    if has_alpha(picture):
        alpha = _alpha(picture)
        mask = np.minimum(mask, alpha)
        pixels = 255 + (pixels - 255) / np.maximum(alpha, 1 / 255)[..., None]
    seen = mask > _VISIBLE
    if not seen.any():
        raise BadSampleError("empty mask", "no pixel of it belongs to the object")
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    rgba = np.dstack([pixels[box], 255 * mask[box]])
    return Image.fromarray(rgba.round().clip(0, 255).astype(np.uint8))


def _remembered_cut_out(picture: RawImage) -> Image.Image:
    with _CUT_OUTS_LOCK:
        known = _CUT_OUTS.get(picture)
    if known is None:
        known = cut_out(picture)
        with _CUT_OUTS_LOCK:
            _CUT_OUTS[picture] = known
    return known


def has_alpha(picture: RawImage) -> bool:
    """Whether the stored picture has transparent pixels or a channel for them."""
    with open_image(picture.encoded) as image:
        return image.has_transparency_data


def _alpha(picture: RawImage) -> Float32[np.ndarray, "height width"]:
    with open_image(picture.encoded) as image:
        channel = image.convert("RGBA").getchannel("A")
    if channel.size != picture.rgb.size:
        raise BadSampleError("broken mask", "a transparent picture turned by its EXIF data")
    return np.asarray(channel, dtype=np.float32) / 255
