"""Broken inputs for the fault benchmarks: small valid files made here, then seeded damage."""

import io
import json
import tarfile
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from vlsuite.cli.tiny_video import tiny_video

Kind = Literal["image", "text", "tar", "video"]

_LENGTHS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

#: Samples in each valid tar, and the members of one.
TAR_SAMPLES = 4


class Seed(NamedTuple):
    """A valid file to start from."""

    name: str
    data: bytes


def seeds(kind: Kind) -> list[Seed]:
    """Valid files of one kind; the same in every process."""
    return {"image": _images, "text": _texts, "tar": _tars, "video": _videos}[kind]()


def mutated(data: bytes, others: list[Seed], rng: np.random.Generator) -> bytes:
    """``data`` after one to four random changes, some of them with parts of ``others``."""
    changes = (_flip, _overwrite, _cut, _remove, _duplicate, _splice, _length_field, _swap_head)
    for _ in range(int(rng.integers(1, 5))):
        change = changes[int(rng.integers(len(changes)))]
        data = change(data, others[int(rng.integers(len(others)))].data, rng)
    return data


def with_checksums(tar: bytes) -> bytes:
    """A tar whose header blocks all have right checksums, so that damage to them is believed."""
    content = bytearray(tar)
    for start in range(0, len(content) - 511, 512):
        block = content[start : start + 512]
        if block[257:262] == b"ustar":
            block[148:156] = b" " * 8
            content[start + 148 : start + 156] = b"%06o\0 " % sum(block)
    return bytes(content)


def _flip(data: bytes, _other: bytes, rng: np.random.Generator) -> bytes:
    content = bytearray(data)
    for place in rng.integers(0, max(1, len(data)), size=int(rng.integers(1, 9))).tolist():
        if place < len(content):
            content[place] ^= 1 << int(rng.integers(8))
    return bytes(content)


def _overwrite(data: bytes, _other: bytes, rng: np.random.Generator) -> bytes:
    start, end = _stretch(data, rng, longest=64)
    noise = rng.bytes(end - start) if rng.random() < 0.5 else bytes(end - start)
    return data[:start] + noise + data[end:]


def _cut(data: bytes, _other: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(0, len(data) + 1))]


def _remove(data: bytes, _other: bytes, rng: np.random.Generator) -> bytes:
    start, end = _stretch(data, rng, longest=2048)
    return data[:start] + data[end:]


def _duplicate(data: bytes, _other: bytes, rng: np.random.Generator) -> bytes:
    start, end = _stretch(data, rng, longest=2048)
    return data[:end] + data[start:end] * int(rng.integers(1, 5)) + data[end:]


def _splice(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    return (
        data[: int(rng.integers(0, len(data) + 1))] + other[int(rng.integers(0, len(other) + 1)) :]
    )


def _length_field(data: bytes, _other: bytes, rng: np.random.Generator) -> bytes:
    """Two or four bytes, most likely in the first headers, set to a telling number."""
    width = 2 if rng.random() < 0.5 else 4
    place = int(rng.integers(0, max(1, min(len(data), 600) - width)))
    value = _LENGTHS[int(rng.integers(len(_LENGTHS)))] & ((1 << 8 * width) - 1)
    order = "big" if rng.random() < 0.5 else "little"
    return data[:place] + value.to_bytes(width, order) + data[place + width :]


def _swap_head(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    size = int(rng.choice((4, 8, 16, 64, 512)))
    return other[:size] + data[size:]


def _stretch(data: bytes, rng: np.random.Generator, *, longest: int) -> tuple[int, int]:
    start = int(rng.integers(0, len(data) + 1))
    return start, min(len(data), start + int(rng.integers(1, longest + 1)))


def _images() -> list[Seed]:
    rng = np.random.default_rng(0)
    smooth = np.asarray(
        Image.fromarray(rng.integers(0, 256, (6, 9, 4), dtype=np.uint8)).resize((90, 60))
    )
    rgb, rgba = Image.fromarray(smooth[..., :3].copy()), Image.fromarray(smooth.copy())
    gray16 = Image.fromarray(smooth[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    made = [
        ("jpeg", rgb, "JPEG", {"quality": 90}),
        ("jpeg progressive", rgb, "JPEG", {"progressive": True}),
        ("jpeg gray", rgb.convert("L"), "JPEG", {}),
        ("jpeg cmyk", rgb.convert("CMYK"), "JPEG", {}),
        ("jpeg exif", rgb, "JPEG", {"exif": exif, "subsampling": 0}),
        ("jpeg restart", rgb, "JPEG", {"restart_marker_blocks": 2}),
        ("png", rgb, "PNG", {}),
        ("png alpha", rgba, "PNG", {}),
        ("png palette", rgb.convert("P"), "PNG", {"transparency": 3}),
        ("png gray 16", gray16, "PNG", {}),
        ("png 1 bit", rgb.convert("1"), "PNG", {}),
        ("webp", rgb, "WEBP", {}),
        ("webp alpha lossless", rgba, "WEBP", {"lossless": True}),
        ("webp animated", rgb, "WEBP", {"save_all": True, "append_images": [rgb.rotate(180)]}),
        ("gif", rgb.convert("P"), "GIF", {}),
        ("gif animated", rgb, "GIF", {"save_all": True, "append_images": [rgb.rotate(180)]}),
        ("bmp", rgb, "BMP", {}),
        ("tiff", rgb, "TIFF", {"compression": "tiff_lzw"}),
    ]
    return [Seed(name, _saved(image, form, options)) for name, image, form, options in made]


def _saved(image: Image.Image, form: str, options: dict) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _texts() -> list[Seed]:
    caption = "Ein Frosch \u2013 gr\u00fcn, caf\u00e9, \u86d9 \U0001f438"
    listed = {"uid": "0" * 32, "captions": [caption, "a frog", "x" * 9000], "n": [1, {"a": None}]}
    return [
        Seed("utf-8", caption.encode()),
        Seed("utf-16", caption.encode("utf-16")),
        Seed("utf-16-le", "plain words without a mark".encode("utf-16-le")),
        Seed("latin-1", "gr\u00fcn, caf\u00e9".encode("latin-1")),
        Seed("long", (caption * 400).encode()),
        Seed("json", json.dumps(listed).encode()),
        Seed("json unescaped", json.dumps(listed, ensure_ascii=False).encode()),
        Seed("json deep", b'{"captions": ' + b"[" * 500 + b"]" * 500 + b"}"),
        Seed("json surrogate", b'{"captions": ["\\ud83d alone", "\\u0000"], "uid": "\\udc00"}'),
    ]


def _tars() -> list[Seed]:
    png, jpeg = _saved(Image.new("RGB", (8, 8)), "PNG", {}), b"\xff\xd8" + bytes(700)
    made = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        for stem in (
            "",
            "folder/" + "n" * 90 if form == tarfile.USTAR_FORMAT else "l\u00e4ng" * 60,
        ):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
                for number in range(TAR_SAMPLES):
                    members = {"png": png, "txt": b"a caption", "json": b'{"n": 1}', "jpg": jpeg}
                    for suffix, data in members.items():
                        entry = tarfile.TarInfo(f"{stem}{number}.{suffix}")
                        entry.size = len(data)
                        tar.addfile(entry, io.BytesIO(data))
            made.append(Seed(f"tar {form} {'long' if stem else 'short'}", stream.getvalue()))
    return made


def _videos() -> list[Seed]:
    gif = next(seed for seed in _images() if seed.name == "gif animated")
    return [
        Seed("avi", tiny_video(num_frames=12, side=64)),
        Seed("avi small", tiny_video(num_frames=3, side=32)),
        Seed("gif", gif.data),
    ]
