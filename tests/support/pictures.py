"""Encoded pictures, whole or with a header that claims something else."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    """The file of a picture in a format of Pillow."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(width: int = 64, height: int = 48) -> Image.Image:
    """Random pixels, always the same."""
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, size=(height, width, 3), dtype=np.uint8))


def scene(width: int, height: int) -> Image.Image:
    """Smooth shades with sharp edges between black and white, as photographs have them."""
    y, x = np.mgrid[0:height, 0:width]
    shades = [127 + 120 * np.sin(x / 17 + phase) * np.cos(y / 23 - phase) for phase in (0, 1, 2)]
    pixels = np.stack(shades, axis=2)
    pixels[(x // 31 + y // 29) % 5 == 0] = 255
    pixels[(x // 37 + y // 41) % 7 == 0] = 0
    return Image.fromarray(pixels.astype(np.uint8))


def png_chunk(name: bytes, body: bytes) -> bytes:
    """PNG specification, chapter 5.3."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *, depth: int, color_type: int, rows: bytes) -> bytes:
    """A PNG written by hand; ``rows`` are filtered scan lines (PNG specification, chapter 11)."""
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    body = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims any size."""
    return png(width, height, depth=8, color_type=2, rows=b"\0" * 100)


def huge_jpeg(width: int, height: int) -> bytes:
    """A JPEG of a few bytes whose header claims any size (ITU T.81, B.2.2)."""
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def huge_webp(width: int, height: int) -> bytes:
    """An extended WebP whose header claims a canvas of any size (RFC 9649, 2.7)."""
    frame = encoded(Image.new("RGB", (8, 8)), "WEBP")[12:]
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + canvas + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def huge_gif(width: int, height: int) -> bytes:
    """A GIF whose screen claims any size."""
    data = encoded(Image.new("P", (8, 8)), "GIF")
    return data[:6] + struct.pack("<HH", width, height) + data[10:]
