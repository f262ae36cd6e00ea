"""Questions about numbered videos as distributed, and a model behind an endpoint that looks."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.support.videos import encoded, number_shown

#: Frames of the longer and the shorter video of a pair; every frame shows its number.
LONG, SHORT = 40, 16


def video(num_frames: int) -> bytes:
    """Frames 0, 1, 2 and so on, 25 a second."""
    return encoded("mp4", "libx264", num_frames=num_frames)


def write_vinoground(folder: Path, pairs: int = 2) -> Path:
    """Pairs of a longer and a shorter video, in turn first and second."""
    (folder / "vinoground_videos").mkdir(parents=True)
    files = {LONG: video(LONG), SHORT: video(SHORT)}
    lines = ["idx,major,minor,pos_cap,neg_cap"]
    for number in range(pairs):
        sizes = (LONG, SHORT) if number % 2 == 0 else (SHORT, LONG)
        for which, size in zip(("pos", "neg"), sizes, strict=True):
            path = folder / "vinoground_videos" / f"{number}_{which}.mp4"
            path.write_bytes(files[size])
        kind = ("action", "object")[number % 2]
        lines.append(f"{number},{kind},,pair {number} counts to {sizes[0]},pair {number} counts "
                     f"to {sizes[1]}")  # fmt: skip
    (folder / "vinoground.csv").write_text("\n".join(lines) + "\n")
    return folder


def write_tempcompass(folder: Path, name: str, *, broken: tuple[str, ...] = ()) -> Path:
    """One file of TempCompass about three videos; gives the file."""
    folder.mkdir(parents=True, exist_ok=True)
    data: dict[str, Any] = {}
    for number, size in enumerate((LONG, SHORT, LONG)):
        key = f"10{number}"
        content = b"\0" * 999 if key in broken else video(size)
        (folder / f"{key}.mp4").write_bytes(content)
        options = ["counts to 16", "counts to 40"]
        right = 1 if size == LONG else 0
        lines = [f"{'AB'[place]}. {text}" for place, text in enumerate(options)]
        choice = {"question": "\n".join([f"What is in video {number}?", *lines])}
        choice["answer"] = lines[right]
        asked = [
            {"question": f"Is this video {number}, counting to 40?", "answer": ("no", "yes")[right]}
        ]
        data[key] = {"order": [choice] if name == "multi-choice" else asked}
    path = folder / f"{name}.json"
    path.write_text(json.dumps(data))
    return path


class Seen(NamedTuple):
    """What a request shows.

    Attributes:
        numbers: of the frames; None for a black picture.
        seconds: told before each picture.
        text: of the question.
    """

    numbers: list[int | None]
    seconds: list[float]
    text: str


def seen(request: dict[str, Any]) -> Seen:
    """Pictures, times and text of a request."""
    numbers: list[int | None] = []
    seconds: list[float] = []
    *pieces, last = request["messages"][-1]["content"]
    for piece in pieces:
        if piece["type"] == "text":
            seconds.append(float(piece["text"].removesuffix(" s:")))
            continue
        data = piece["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
        picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
        numbers.append(None if picture.max() < 16 else number_shown(picture))
    return Seen(numbers, seconds, last["text"])


def looking(request: dict[str, Any]) -> str:
    """Answers every question of the sets above rightly, from the pictures alone."""
    numbers, _, text = seen(request)
    if None in numbers:
        middle = numbers.index(None)
        largest = [max(n or 0 for n in own) for own in (numbers[:middle], numbers[middle + 1 :])]
        wanted = int(re.findall(r"counts to (\d+)", text)[0])
        return "AB"[largest.index(max(largest)) ^ (wanted == SHORT)]
    wanted = LONG if max(n or 0 for n in numbers) >= SHORT else SHORT
    if "yes or no" in text:
        return "Yes, it does." if wanted == LONG else "No."
    lettered = re.findall(r"^([AB])\. .*counts to (\d+)", text, re.MULTILINE)
    return next(f"The answer is {letter}." for letter, size in lettered if int(size) == wanted)
