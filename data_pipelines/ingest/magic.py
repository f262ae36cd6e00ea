"""Whether bytes begin as a picture does, before the rest of them is read."""

from data_pipelines.image_formats import is_heic

_STARTS = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",  # TIFF
    b"MM\0*",
    b"\0\0\0\x0cjP  \r\n\x87\n",  # JPEG 2000
    b"\xff\x4f\xff\x51",
)
_AVIF = (b"avif", b"avis")


def could_be_picture(start: bytes) -> bool:
    """Whether some 64 first bytes are those of a format that is read (``image_formats``)."""
    if start.startswith(_STARTS) or is_heic(start):
        return True
    if start.startswith(b"RIFF"):
        return start[8:12] == b"WEBP"
    if start[4:8] != b"ftyp":
        return False
    brands = [start[place : place + 4] for place in range(8, len(start) - 3, 4)]
    return any(brand in _AVIF for brand in brands)
