"""Encoded bytes to an upright RGB picture, with a size limit checked before decoding."""

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from vlsuite.errors import DataError

#: Larger pictures are refused before any pixel is decoded (decompression bombs).
MAX_PIXELS = 89_478_485


def decode_image(data: bytes, *, shrink_to: int | None = None) -> Image.Image:
    """Decode to RGB; transparency is laid on white and EXIF rotation applied.

    open_clip's ``convert("RGB")`` drops the alpha channel and shows whatever colour lies under
    it, and ignores EXIF rotation; we depart from it in both.

    Args:
        data: PNG, JPEG, WebP or anything else Pillow reads; the first frame of an animation.
        shrink_to: lets a JPEG be decoded at 1/2, 1/4 or 1/8 while both sides stay at least this
            many pixels; None decodes at full size.
    Raises:
        DataError: empty, truncated, not an image, or more than ``MAX_PIXELS``.
    """
    if not data:
        raise DataError("image has zero bytes")
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise DataError(f"image of {image.width} x {image.height} pixels is over the limit")
        if shrink_to is not None and image.format == "JPEG":
            image.draft("RGB", (shrink_to, shrink_to))
        if "exif" in image.info:
            image = ImageOps.exif_transpose(image)
        return _on_white(image)
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"not a readable image: {type(error).__name__}") from error
    except (OSError, ValueError, SyntaxError, IndexError, MemoryError) as error:
        raise DataError(f"broken image: {' '.join(str(error).split())[:120]}") from error


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        image.load()
        return image
    if image.mode.startswith("I;16"):
        image = image.point(lambda value: value / 256).convert("L")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")
