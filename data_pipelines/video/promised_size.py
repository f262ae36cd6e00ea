"""How long a video file says it is, from its outermost headers alone.

Decoders show what they can of a file that was cut short, often without a word. The container
knows better: AVI, MP4 and Matroska name their lengths.
"""

import io
import mmap

from data_pipelines.errors import BadSampleError

_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_MAX_BOXES = 100_000  # at the top of an MP4; fragmented ones have thousands


def refuse_truncated(video: bytes | io.BufferedReader) -> None:
    """Refuse a video that is shorter than it says.

    Raises:
        BadSampleError: "zero bytes", "truncated video".
    """
    size = len(video) if isinstance(video, bytes) else video.seek(0, 2)
    if not size:
        raise BadSampleError("zero bytes", "the video is empty")
    if isinstance(video, bytes):
        promised = promised_bytes(video)
    else:
        with mmap.mmap(video.fileno(), 0, access=mmap.ACCESS_READ) as data:
            promised = promised_bytes(data)
    if promised is not None and promised > size:
        raise BadSampleError("truncated video", f"{size} bytes of {promised}")


def promised_bytes(data: bytes | mmap.mmap) -> int | None:
    """Smallest size in bytes that the file would have if nothing was missing.

    None for other containers (MPEG streams, FLV, Ogg), live recordings without a length, and
    headers that make no sense. Sources: Microsoft's AVI RIFF File Reference, ISO/IEC 14496-12
    section 4.2, RFC 8794 (EBML) section 6.
    """
    if data[:4] == b"RIFF":
        return 8 + int.from_bytes(data[4:8], "little")
    if data[4:8] == b"ftyp":
        return _end_of_boxes(data)
    if data[:4] == _EBML:
        return _end_of_segment(data)
    return None


def _end_of_boxes(data: bytes | mmap.mmap) -> int | None:
    place = 0
    for _ in range(_MAX_BOXES):
        if place >= len(data):
            return place
        size = int.from_bytes(data[place : place + 4], "big")
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        if size < 8:  # 0: to the end of the file, wherever that is
            return None
        place += size
    return None


def _end_of_segment(data: bytes | mmap.mmap) -> int | None:
    """EBML head, then the segment that holds everything else."""
    head = _variable_size(data, 4)
    if head is None:
        return None
    place = head[0] + head[1]
    if data[place : place + 4] != _SEGMENT:
        return None
    segment = _variable_size(data, place + 4)
    return None if segment is None else segment[0] + segment[1]


def _variable_size(data: bytes | mmap.mmap, place: int) -> tuple[int, int] | None:
    """Where an element's content begins, and its size; None where that is unknown."""
    first = data[place] if place < len(data) else 0
    length = 9 - first.bit_length()
    if length > 8 or place + length > len(data):
        return None
    bits = 7 * length
    value = int.from_bytes(data[place : place + length], "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else (place + length, value)
