"""Small pictures for reports, as ``data:`` addresses."""

import base64
import io

from PIL import Image

from data_pipelines.errors import DataError
from vlsuite.batches.decode import decode_image

THUMBNAIL_SIDE = 96  # pixels
_JPEG_QUALITY = 88
_PREFIX = "data:image/jpeg;base64,"


def thumbnail(encoded: bytes) -> str | None:
    """A JPEG of at most 96 pixels a side, transparency on white; None for a broken picture."""
    try:
        picture = decode_image(encoded)
    except DataError:
        return None
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return as_address(picture)


def as_address(picture: Image.Image) -> str:
    """A small picture as a JPEG of its size."""
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=_JPEG_QUALITY)
    return _PREFIX + base64.b64encode(stream.getvalue()).decode("ascii")


def is_thumbnail(address: object) -> bool:
    """Whether a picture is of our own making; result files may come from anywhere."""
    return isinstance(address, str) and address.startswith(_PREFIX)
