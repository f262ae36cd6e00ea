"""What the header of a picture says, and whether its bytes are a whole picture."""

from typing import NamedTuple

from PIL import Image, ImageFile

from data_pipelines.curation.columns import GOOD
from data_pipelines.errors import DataError
from data_pipelines.images import MAX_PIXELS, opened_image

_ORIENTATION = 0x0112  # EXIF

_JPEG_END, _JPEG_SCAN = b"\xff\xd9", b"\xff\xda"
_PNG_END = b"IEND\xaeB`\x82"


class PictureFacts(NamedTuple):
    """What a picture is by its header; None where there is none that can be read.

    Attributes:
        verdict: ``GOOD``, or what is wrong with it in words that are the same for all like cases.
        width, height: pixels as stored, before the orientation is applied.
        orientation: 1 to 8 as in EXIF; 1 where nothing is said.
    """

    verdict: str
    format: str | None = None
    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    mode: str | None = None


def picture_facts(data: bytes, *, decode: bool) -> PictureFacts:
    """Look at an encoded picture, and decode it where asked for.

    Without decoding, a picture counts as whole if it ends as its format does (JPEG, PNG, WebP);
    damage in its middle is not seen.

    Args:
        decode: decode every pixel, as ``vlsuite data validate`` does.
    """
    try:
        with opened_image(data) as image:
            facts = PictureFacts(
                verdict=GOOD,
                format=(image.format or "").lower(),
                width=image.width,
                height=image.height,
                orientation=_orientation(image),
                mode=image.mode,
            )
            if image.width * image.height > MAX_PIXELS:
                return facts._replace(verdict="too many pixels")
            if _is_cut(data):
                return facts._replace(verdict="truncated image")
    except DataError as error:
        return PictureFacts(kind_of(error, data))
    return facts._replace(verdict=_decoded(data)) if decode else facts


def kind_of(error: DataError, data: bytes) -> str:
    """What is wrong with a picture that ``opened_image`` refuses, the same for all like cases."""
    kind, _, detail = str(error).partition(": ")
    is_cut = kind == "broken image" and ("truncated" in detail or _is_cut(data))
    return "truncated image" if is_cut else kind


def _decoded(data: bytes) -> str:
    try:
        with opened_image(data) as image:
            image.load()
    except DataError as error:
        return kind_of(error, data)
    return GOOD


def _orientation(image: Image.Image) -> int:
    """From the header alone: Pillow looks for a late one in a PNG by decoding it."""
    if isinstance(image, ImageFile.ImageFile) and not image.info.get("exif"):
        return 1
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _is_cut(data: bytes) -> bool:
    """Whether the end that the format demands is missing.

    ITU T.81, B.1.1: neither mark occurs within the coded pixels of a JPEG. What stands behind
    the end (a second picture, a note of the camera) does no harm.
    """
    if data.startswith(b"\xff\xd8"):
        return not data.endswith(_JPEG_END) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)
    if data.startswith(b"\x89PNG"):
        return not data.endswith(_PNG_END) and _PNG_END not in data
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return False
