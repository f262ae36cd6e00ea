"""What the markers before a JPEG's first scan tell, without decoding anything."""

from typing import NamedTuple

from vlsuite.errors import BadSampleError

START = b"\xff\xd8"

#: Encoders write about ten scans. Every scan passes over all coefficients again, so a file of
#: some KB with thousands of scans would keep a decoder busy for minutes.
MAX_SCANS = 100

_START_OF_SCAN = 0xDA
_APP1 = 0xE1
_STANDALONE = (0x01, *range(0xD0, 0xD8))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE_FRAMES = (0xC2, 0xC6, 0xCA, 0xCE)
#: A JPEG with a large colour profile has some dozens.
_MAX_SEGMENTS = 1000


class JpegMarkers(NamedTuple):
    """Of the markers up to the first scan.

    Attributes:
        has_exif: an EXIF block is there, so the picture may be stored turned.
        is_multi_scan: one scan does not hold the whole picture.
    """

    has_exif: bool
    is_multi_scan: bool


def read_markers(data: bytes) -> JpegMarkers:
    """Walk the marker segments up to the first scan (ITU T.81, annex B).

    Both answers are yes where the walk fails, so that whoever asks looks closer.

    Args:
        data: starts with ``START``.
    """
    position, has_exif, num_components = 2, False, 0
    for _ in range(_MAX_SEGMENTS):
        start = data[position : position + 10]
        if len(start) < 10 or start[0] != 0xFF:
            break
        marker = start[1]
        if marker == _START_OF_SCAN:
            return JpegMarkers(has_exif, start[4] != num_components)
        if marker == 0xFF:
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        if marker in _FRAMES:
            num_components = None if marker in _PROGRESSIVE_FRAMES else start[9]
        elif marker == _APP1 and start[4:] == b"Exif\0\0":
            has_exif = True
        position += 2 + int.from_bytes(start[2:4], "big")
    return JpegMarkers(has_exif=True, is_multi_scan=True)


def refuse_scan_bomb(data: bytes, markers: JpegMarkers) -> None:
    """Stop a JPEG of very many scans before it is decoded.

    Raises:
        BadSampleError: more than ``MAX_SCANS``.
    """
    if markers.is_multi_scan and (count := data.count(b"\xff\xda")) > MAX_SCANS:
        raise BadSampleError("too many scans", f"{count} in one JPEG, over {MAX_SCANS}")
