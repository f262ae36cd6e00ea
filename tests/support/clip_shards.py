"""Shards of short clips stored as pictures, and of single pictures, for training."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.shards import write_tar

_WORDS = ("circle", "square", "triangle", "red", "blue", "green", "small", "large")


def moving_square(number: int, num_frames: int, *, side: int = 32) -> list[bytes]:
    """A square that crosses the picture; which way, and how it is coloured, is in its number."""
    rng = np.random.default_rng(number)
    background, colour = rng.integers(0, 256, size=(2, 3), dtype=np.uint8)
    places = np.linspace(2, side - 10, num_frames).astype(int)
    if number % 2:
        places = places[::-1]
    frames = []
    for place in places.tolist():
        pixels = np.full((side, side, 3), background, dtype=np.uint8)
        pixels[12:20, place : place + 8] = colour
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, format="PNG")
        frames.append(stream.getvalue())
    return frames


def caption(number: int) -> str:
    """Words of the tests' tokenizer; which way the square moves is one of them."""
    way = ("left", "right")[number % 2]
    return f"a {_WORDS[number // 2 % 8]} {_WORDS[(number // 16 + number) % 8]} {way} {number}"


def write_clips(folder: Path, count: int, *, num_frames: int = 6, first: int = 0) -> Path:
    """One shard of clips, frame by frame."""
    members = []
    for number in range(first, first + count):
        key = f"clip{number:05d}"
        for place, data in enumerate(moving_square(number, num_frames)):
            members.append((f"{key}.frame.{place}.png", data))
        members.append((f"{key}.txt", caption(number).encode()))
        members.append((f"{key}.json", json.dumps({"uid": f"{number:032x}"}).encode()))
    return write_tar(folder / "clips-00000.tar", members)


def write_pictures(folder: Path, count: int, *, first: int = 1000) -> Path:
    """One shard of single pictures."""
    members = []
    for number in range(first, first + count):
        key = f"picture{number:05d}"
        members.append((f"{key}.png", moving_square(number, 1)[0]))
        members.append((f"{key}.txt", caption(number).encode()))
        members.append((f"{key}.json", json.dumps({"uid": f"{number:032x}"}).encode()))
    return write_tar(folder / "pictures-00000.tar", members)
