"""Kinds of damage to an encoded video, each a function of bytes and a generator."""

from collections.abc import Callable

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]

_HEAD = 4096  # bytes at the start of a file where its headers lie
_LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def cut_end(data: bytes, rng: np.random.Generator) -> bytes:
    """Only the beginning is left."""
    return data[: int(rng.integers(1, len(data)))]


def cut_start(data: bytes, rng: np.random.Generator) -> bytes:
    """The beginning is missing."""
    return data[int(rng.integers(1, len(data))) :]


def flip_bits(data: bytes, rng: np.random.Generator) -> bytes:
    """Single bits, anywhere."""
    content = bytearray(data)
    for place in rng.integers(0, len(data), int(rng.integers(1, 200))):
        content[place] ^= 1 << int(rng.integers(8))
    return bytes(content)


def flip_head(data: bytes, rng: np.random.Generator) -> bytes:
    """Single bits among the headers."""
    content = bytearray(data)
    for place in rng.integers(0, min(_HEAD, len(data)), int(rng.integers(1, 20))):
        content[place] ^= 1 << int(rng.integers(8))
    return bytes(content)


def flip_tail(data: bytes, rng: np.random.Generator) -> bytes:
    """Single bytes at the end, where many containers keep their index."""
    content = bytearray(data)
    for place in rng.integers(max(0, len(data) - 4 * _HEAD), len(data), int(rng.integers(1, 40))):
        content[place] = int(rng.integers(256))
    return bytes(content)


def zero_stretch(data: bytes, rng: np.random.Generator) -> bytes:
    """A hole of zeros, as of a lost page."""
    start, end = _stretch(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


def noise_stretch(data: bytes, rng: np.random.Generator) -> bytes:
    """A stretch of noise."""
    start, end = _stretch(data, rng)
    return data[:start] + rng.bytes(end - start) + data[end:]


def remove_stretch(data: bytes, rng: np.random.Generator) -> bytes:
    """A stretch is missing."""
    start, end = _stretch(data, rng)
    return data[:start] + data[end:]


def repeat_stretch(data: bytes, rng: np.random.Generator) -> bytes:
    """A stretch is there several times."""
    start, end = _stretch(data, rng)
    return data[:end] + data[start:end] * int(rng.integers(1, 4)) + data[end:]


def swap_stretches(data: bytes, rng: np.random.Generator) -> bytes:
    """Two halves of a stretch have changed places."""
    start, end = _stretch(data, rng)
    middle = (start + end) // 2
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


def false_length(data: bytes, rng: np.random.Generator) -> bytes:
    """Numbers in the headers say something else: lengths, sizes, counts, times."""
    content = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        width = int(rng.choice((2, 4)))
        value = _LENGTHS[int(rng.integers(len(_LENGTHS)))] & ((1 << 8 * width) - 1)
        place = int(rng.integers(0, max(1, min(_HEAD, len(data) - width))))
        order = "big" if rng.random() < 0.5 else "little"
        content[place : place + width] = value.to_bytes(width, order)
    return bytes(content)


def append_noise(data: bytes, rng: np.random.Generator) -> bytes:
    """Noise behind the end."""
    return data + rng.bytes(int(rng.integers(1, 1 << 16)))


def insert_noise(data: bytes, rng: np.random.Generator) -> bytes:
    """Noise in between, so that all offsets behind it are wrong."""
    place = int(rng.integers(0, len(data)))
    return data[:place] + rng.bytes(int(rng.integers(1, 1 << 12))) + data[place:]


def join_halves(data: bytes, rng: np.random.Generator) -> bytes:
    """The file begins again in the middle of itself."""
    return data[: int(rng.integers(1, len(data)))] + data


def other_head(data: bytes, rng: np.random.Generator) -> bytes:
    """The first bytes are those of another container."""
    heads = (b"\0\0\1\xba", b"RIFF\xff\xff\xff\x7fAVI ", b"\x1a\x45\xdf\xa3", b"FLV\1", b"OggS")
    head = (*heads, b"\0\0\0\x18ftypmp42", b"0&\xb2u\x8ef\xcf\x11", b"GIF89a")[int(rng.integers(8))]
    return head + data[len(head) :]


KINDS: dict[str, Damage] = {
    damage.__name__: damage
    for damage in (
        *(cut_end, cut_start, flip_bits, flip_head, flip_tail, zero_stretch, noise_stretch),
        *(remove_stretch, repeat_stretch, swap_stretches, false_length, append_noise),
        *(insert_noise, join_halves, other_head),
    )
}


def _stretch(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start = int(rng.integers(0, len(data)))
    return start, min(len(data), start + int(rng.integers(1, 1 << 15)))
