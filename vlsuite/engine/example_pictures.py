"""Examples of evaluations as pictures for dashboards: a query, and its best answers."""

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from data_pipelines.fonts import font_of
from data_pipelines.printable import one_line

_GAP = 8  # pixels, as all that follows
_LINE = 17
_FONT = 12
_SIDE = 96  # of a picture that is missing
_TEXT = 340
_LETTERS = 52  # of a line of text
_RIGHT, _WRONG, _PLAIN, _GROUND = "#1a7f37", "#b3261e", "#202020", "#ffffff"
_MARKS = {True: "\u2713", False: "\u2717"}  # a check mark and a cross


def draw_example(example: Mapping[str, Any]) -> Image.Image:
    """One example as a picture.

    Pictures among the answers stand in a row below the query, texts in lines beside it. Right
    answers are green with a check mark, wrong ones red with a cross; each with its cosine.

    Args:
        example: ``eval.results.Example``, JSON-ready.
    """
    answers = example["answers"]
    head = _head(example)
    if any(answer.get("image") for answer in answers):
        return _stacked([head, _row(answers)])
    beside = _lines([(_told(answer), _colour(answer)) for answer in answers])
    return _side_by_side([head, beside]) if answers else head


def _head(example: Mapping[str, Any]) -> Image.Image:
    """The query, and at which place its right answer is."""
    query = example["query"]
    place = f"right answer: place {example['rank']}" if example["answers"] else ""
    parts = [_picture(query["image"])] if query.get("image") else []
    told = [query["text"], str(example["direction"]).replace("_", " "), place]
    lines = [(line, _PLAIN) for text in told if text for line in _wrapped(text)]
    narrow = bool(parts)
    return _stacked([*parts, _lines(lines, width=_TEXT // 2 if narrow else _TEXT)])


def _row(answers: Sequence[Mapping[str, Any]]) -> Image.Image:
    cells = []
    for answer in answers:
        picture = _picture(answer.get("image"))
        framed = Image.new("RGB", (picture.width + 6, picture.height + 6), _colour(answer))
        framed.paste(picture, (3, 3))
        cells.append(_stacked([framed, _lines([(_cosine(answer), _colour(answer))], width=60)]))
    return _side_by_side(cells)


def _told(answer: Mapping[str, Any]) -> str:
    return f"{_cosine(answer)}  {answer['text']}".strip()


def _cosine(answer: Mapping[str, Any]) -> str:
    mark = _MARKS[bool(answer.get("is_correct"))]
    similarity = answer.get("similarity")
    return mark if similarity is None else f"{mark} {similarity:+.3f}"


def _colour(answer: Mapping[str, Any]) -> str:
    return _RIGHT if answer.get("is_correct") else _WRONG


def _lines(lines: Sequence[tuple[str, str]], *, width: int = _TEXT) -> Image.Image:
    """Text, each line of its colour."""
    canvas = Image.new("RGB", (width, max(1, len(lines)) * _LINE), _GROUND)
    pen, font = ImageDraw.Draw(canvas), font_of(_FONT)
    for number, (line, colour) in enumerate(lines):
        shown = textwrap.shorten(one_line(line), _LETTERS, placeholder="...")
        pen.text((0, number * _LINE), shown, fill=colour, font=font)
    return canvas


def _wrapped(text: str) -> list[str]:
    wrapped = textwrap.wrap(one_line(text), _LETTERS, max_lines=3, placeholder="...")
    return wrapped or [""]


def _picture(address: str | None) -> Image.Image:
    """The small picture of a ``data:`` address; grey where there is none."""
    if not address:
        return Image.new("RGB", (_SIDE, _SIDE), "#c8c8c8")
    data = base64.b64decode(address.partition(",")[2])
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        return image.convert("RGB")


def _stacked(parts: Sequence[Image.Image]) -> Image.Image:
    width = max(part.width for part in parts) + 2 * _GAP
    height = sum(part.height + _GAP for part in parts) + _GAP
    canvas = Image.new("RGB", (width, height), _GROUND)
    top = _GAP
    for part in parts:
        canvas.paste(part, (_GAP, top))
        top += part.height + _GAP
    return canvas


def _side_by_side(parts: Sequence[Image.Image]) -> Image.Image:
    width = sum(part.width + _GAP for part in parts) + _GAP
    height = max(part.height for part in parts) + 2 * _GAP
    canvas = Image.new("RGB", (width, height), _GROUND)
    left = _GAP
    for part in parts:
        canvas.paste(part, (left, _GAP))
        left += part.width + _GAP
    return canvas
