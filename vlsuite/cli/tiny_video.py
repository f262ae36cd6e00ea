"""A video of a few frames as bytes, to see whether a decoder works; no encoder is needed."""

import io
import struct

from PIL import Image

_FRAMES_PER_SECOND = 10
_KEY_FRAME = 0x10
_HAS_INDEX = 0x10


def tiny_video(*, num_frames: int, side: int) -> bytes:
    """Motion JPEG in AVI: square frames that fade from blue to magenta.

    Layout: Microsoft's AVI RIFF File Reference (a tree of length-prefixed chunks: hdrl with one
    stream header, movi with the frames, idx1 with their places).

    Args:
        num_frames: at least 1.
        side: of a frame in pixels; decord miscounts rows that are no multiple of 32.
    """
    frames = [_jpeg(side, (255 * number // num_frames, 0, 255)) for number in range(num_frames)]
    movie, index = b"movi", b""
    for frame in frames:
        index += b"00dc" + struct.pack("<3I", _KEY_FRAME, len(movie), len(frame))
        movie += _chunk(b"00dc", frame)
    return _chunk(
        b"RIFF",
        b"AVI " + _header(num_frames, side) + _chunk(b"LIST", movie) + _chunk(b"idx1", index),
    )


def _header(num_frames: int, side: int) -> bytes:
    microseconds = 1_000_000 // _FRAMES_PER_SECOND
    main = struct.pack(
        "<14I", microseconds, 0, 0, _HAS_INDEX, num_frames, 0, 1, 0, side, side, 0, 0, 0, 0
    )
    stream = b"vidsMJPG" + struct.pack(
        "<IHHIIIIIIII4H",
        *(0, 0, 0, 0),  # flags, priority, language, initial frames
        *(1, _FRAMES_PER_SECOND, 0, num_frames),  # scale, rate, start, length
        *(0, 0xFFFFFFFF, 0),  # buffer size, default quality, sample size
        *(0, 0, side, side),
    )
    bitmap = struct.pack(
        "<IiiHH4sIiiII", 40, side, side, 1, 24, b"MJPG", side * side * 3, 0, 0, 0, 0
    )
    streams = b"strl" + _chunk(b"strh", stream) + _chunk(b"strf", bitmap)
    return _chunk(b"LIST", b"hdrl" + _chunk(b"avih", main) + _chunk(b"LIST", streams))


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _jpeg(side: int, color: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), color).save(stream, "JPEG")
    return stream.getvalue()
