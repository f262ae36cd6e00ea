"""Which picture formats are read, told by suffix and by bytes: one list for everything.

Pillow knows about forty more formats. For some of them it starts a program (EPS: Ghostscript) or
leaves the bytes it was given, so an open without this list is never right for a picture of unknown
make, whatever its name says.
"""

import io

from PIL import Image

from data_pipelines.errors import BadSampleError

#: Formats of Pillow that are read; HEIF besides, where the extra ``heic`` is installed.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000")

#: Suffixes of members and files that are encoded images, with the name of their format.
FORMAT_OF_SUFFIX = {
    "png": "png",
    "jpg": "jpg",
    "jpeg": "jpg",
    "jpe": "jpg",
    "jfif": "jpg",
    "webp": "webp",
    "gif": "gif",
    "bmp": "bmp",
    "tif": "tif",
    "tiff": "tif",
    "avif": "avif",
    "heic": "heic",
    "heif": "heic",
    "jp2": "jp2",
}

#: Name of the format, by what Pillow calls it. MPO is a JPEG with a second picture behind it.
SUFFIX_OF_FORMAT = {
    "PNG": "png",
    "JPEG": "jpg",
    "MPO": "jpg",
    "WEBP": "webp",
    "GIF": "gif",
    "BMP": "bmp",
    "DIB": "bmp",
    "TIFF": "tif",
    "AVIF": "avif",
    "HEIF": "heic",
    "JPEG2000": "jp2",
}

#: Kind of the pictures that only the extra reads, for counts.
NEEDS_HEIC = "HEIC, which needs pillow-heif (pip install 'vlsuite[heic]')"

_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2")
)
_HEAD = 64  # bytes: the box "ftyp" with the brands


def open_image(data: bytes) -> Image.Image:
    """Open an encoded picture without decoding it, if it is of a format that is read.

    Raises:
        BadSampleError: HEIC without the extra.
        OSError, ValueError...: what ``PIL.Image.open`` raises; ``UnidentifiedImageError`` for
            every other format.
    """
    if is_heic(data):
        if not has_heic():
            raise BadSampleError(NEEDS_HEIC, f"{len(data)} bytes")
        return Image.open(io.BytesIO(data), formats=("HEIF",))
    return Image.open(io.BytesIO(data), formats=FORMATS)


def is_heic(data: bytes) -> bool:
    """Whether bytes begin as HEIC does (AVIF, of the same container, is not meant)."""
    if data[4:8] != b"ftyp":
        return False
    brands = {data[place : place + 4] for place in range(8, min(len(data), _HEAD), 4)}
    return (
        data[8:12] not in (b"avif", b"avis")
        and b"avif" not in brands
        and bool(brands & _HEIF_BRANDS)
    )


def has_heic() -> bool:
    """Whether HEIC can be read; makes Pillow able to where the extra is installed."""
    if "HEIF" in Image.OPEN:
        return True
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True
