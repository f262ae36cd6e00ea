"""Pictures that are bombs, programs, or something else than their names say."""

import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from benchmarks.hostile_inputs.place import Hostile, Place, add_many, tar_of, write

_EPS = (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n"
    b"(x) print\nshowpage\n%%EOF\n"
)
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


def _encoded(kind: str, side: int = 48) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 60)).save(stream, kind)
    return stream.getvalue()


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(width: int, height: int, rows: bytes, before: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = before + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + body


def _png_bomb() -> bytes:
    """1.2 GB of zeros in 1.2 MB, told truly."""
    packer = zlib.compressobj(9)
    row = b"\0" * 40_001
    packed = b"".join(packer.compress(row * 100) for _ in range(300)) + packer.flush()
    header = struct.pack(">IIBBBBB", 40_000, 30_000, 8, 0, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _text_bomb() -> bytes:
    """A zTXt chunk of 256 MB of letters."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"a" * (1 << 20)) for _ in range(256)) + packer.flush()
    return _png(32, 32, b"\0" * 33 * 32, before=_chunk(b"zTXt", b"Comment\0\0" + packed))


def _gif_of_frames() -> bytes:
    """50,000 frames on a screen of 65,535 by 65,535."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    screen = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return screen + frame * 50_000 + b"\x3b"


def _tiff_of_loops() -> bytes:
    """A directory whose next one is itself, and a strip that lies beyond the file."""
    entries = [(256, 3, 1, 60_000), (257, 3, 1, 60_000), (258, 3, 1, 8), (259, 3, 1, 1)]
    entries += [(262, 3, 1, 1), (273, 4, 1, 0x7FFFFFFF), (279, 4, 1, 0x7FFFFFFF)]
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return (
        b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + packed + b"\x08\0\0\0"
    )


def _icon() -> bytes:
    """An icon of 255 pictures that all lie in one place beyond the file."""
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 0x7FFFFFFF, 0x7FFFFFF0)
    return struct.pack("<HHH", 0, 1, 255) + entry * 255


def _psd() -> bytes:
    """Photoshop's form, 30,000 by 30,000 with 56 channels."""
    return b"8BPS" + struct.pack(">HIHHIIHH", 1, 0, 0, 56, 30_000, 30_000, 8, 3)[:22] + b"\0" * 64


def _nested_icc() -> bytes:
    data = _encoded("JPEG")
    profile = b"\xff\xe2" + struct.pack(">H", 65_000) + b"ICC_PROFILE\0\x01\x02" + b"x" * 64_984
    return data[:2] + profile * 200 + data[2:]


_FILES: dict[str, Callable[[], bytes]] = {
    "eps": lambda: _EPS,
    "eps_dos_header": lambda: struct.pack("<4s6IH", b"\xc5\xd0\xd3\xc6", 30, 200, *[0] * 5) + _EPS,
    "svg": lambda: _SVG,
    "pdf": lambda: b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF",
    "wmf": lambda: b"\xd7\xcd\xc6\x9a" + b"\0" * 80,
    "png_bomb": _png_bomb,
    "png_lying_size": lambda: _png(100_000, 100_000, b"\0" * 100),
    "png_text_bomb": _text_bomb,
    "gif_frames": _gif_of_frames,
    "tiff_loop": _tiff_of_loops,
    "ico": _icon,
    "psd": _psd,
    "jpeg_icc_parts": _nested_icc,
    "jpeg_truncated": lambda: _encoded("JPEG")[:300],
    "empty": lambda: b"",
    "fli": lambda: struct.pack("<I6HI", 128, 0xAF12, 65_535, 65_535, 65_535, 8, 0, 0) + b"\0" * 200,
}  # fmt: skip


def _members(data: bytes) -> dict[str, bytes]:
    good = _encoded("PNG")
    return {
        "000.png": data, "000.txt": b"a hostile one",
        "001.png": good, "001.txt": b"a good one",
    }  # fmt: skip


def _validated(name: str) -> Hostile:
    def make(place: Place) -> list[str]:
        write(place.inputs / "a.tar", tar_of(_members(_FILES[name]())))
        return ["data", "validate", str(place.inputs)]

    return make


def _sheet(name: str) -> Hostile:
    def make(place: Place) -> list[str]:
        write(place.inputs / "a.tar", tar_of(_members(_FILES[name]())))
        place.target.mkdir()
        sheet = place.target / "sheet.png"
        return ["data", "inspect", str(place.inputs), "--contact-sheet", str(sheet)]

    return make


def _built(name: str) -> Hostile:
    def make(place: Place) -> list[str]:
        for file, data in _members(_FILES[name]()).items():
            write(place.inputs / file, data)
        table = write(place.inputs / "pairs.csv", "path,caption\n000.png,hostile\n001.png,good\n")
        return ["data", "build", "table", str(table), "--out", str(place.target)]

    return make


def _evaluated(name: str) -> Hostile:
    def make(place: Place) -> list[str]:
        write(place.inputs / "a.tar", tar_of(_members(_FILES[name]())))
        return [
            "eval", str(place.sane.model), "--data", str(place.inputs / "a.tar"), "--no-cache",
            "--out", str(place.target), "--workers", "1",
        ]  # fmt: skip

    return make


add_many("pictures", {f"validate_{name}": _validated(name) for name in _FILES})
add_many("pictures", {f"build_{name}": _built(name) for name in _FILES})
add_many(
    "pictures",
    {f"sheet_{name}": _sheet(name) for name in ("eps", "png_bomb", "gif_frames", "tiff_loop")},
)
add_many(
    "pictures", {f"eval_{name}": _evaluated(name) for name in ("eps", "png_bomb", "png_text_bomb")}
)
