"""One PNG that shows what is in a set of shards: small pictures with their captions below.

Videos and sequences of frames are shown as strips of frames, below the single pictures; pictures
with boxes, of shards that have ``categories.json`` beside them, larger and with their boxes.
"""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw

from data_pipelines.detection.looking import Vocabularies, boxed_picture, draw_boxed
from data_pipelines.errors import DataError
from data_pipelines.fonts import font_of
from data_pipelines.frame_strips import Strip, draw_strips, strip_of
from data_pipelines.image_formats import open_image
from data_pipelines.images import MAX_PIXELS, encode_png, on_white
from data_pipelines.inspect import evenly_spaced, read_samples
from data_pipelines.printable import printable
from data_pipelines.shards.atomic import write_file
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex

_CELL = 128  # side of a picture in pixels
_GAP = 8
_TEXT_LINES = 3
_LINE = 13  # height of a line of text in pixels
_TEXT_WIDTH = 22  # characters


class Pair(NamedTuple):
    """An encoded image with its captions, as read from a shard."""

    image: bytes
    captions: tuple[str, ...]


def write_contact_sheet(
    paths: Iterable[str | Path], out_path: Path, *, num_pictures: int = 60, columns: int = 10
) -> int:
    """Write a PNG of pictures evenly spaced over the shards behind ``paths``.

    Returns:
        The number of pictures and strips shown; what cannot be decoded is crossed out, or left
        white where it has boxes.
    Raises:
        ShardError: a path leads to no shard, or a shard is no tar.
        DataError: there is no sample, or the file cannot be written.
        MissingDecoderError: there are videos, and this machine cannot read any.
    """
    indexes = [ShardIndex.open(path) for path in find_shards(paths)]
    pairs: list[Pair] = []
    boxed: list[Image.Image] = []
    vocabularies = Vocabularies()
    strips: list[Strip] = []
    numbers = evenly_spaced(sum(map(len, indexes)), num_pictures)
    for sample, one_per_line, folder in read_samples(indexes, numbers):
        try:
            vocabulary = vocabularies.of(folder)
            strip = None if vocabulary else strip_of(sample)
            if vocabulary is not None:
                boxed.append(boxed_picture(sample, vocabulary))
            elif strip is not None:
                strips.append(strip)
            else:
                captions = sample.plain_captions(one_per_line=one_per_line)
                pairs.append(Pair(sample.image.data, captions))
        except DataError:
            continue
    if not pairs and not strips and not boxed:
        raise DataError("the shards hold no image to show; check them by 'vlsuite data validate'")
    parts = [draw_sheet(pairs, columns=columns)] if pairs else []
    parts += [draw_boxed(boxed)] if boxed else []
    parts += [draw_strips(strips)] if strips else []
    write_file(out_path, encode_png(_stacked(parts)))
    return len(pairs) + len(boxed) + len(strips)


def draw_sheet(pairs: list[Pair], *, columns: int) -> Image.Image:
    """The pictures in rows of ``columns``, each with its first caption."""
    rows = -(-len(pairs) // columns)
    columns = min(columns, len(pairs))
    width, height = _CELL + _GAP, _CELL + _TEXT_LINES * _LINE + _GAP
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "#e8e8e8")
    pen = ImageDraw.Draw(sheet)
    font = font_of(9)
    for number, pair in enumerate(pairs):
        left = _GAP + number % columns * width
        top = _GAP + number // columns * height
        sheet.paste(_thumbnail(pair.image), (left, top))
        caption = pair.captions[0] if pair.captions else "(no caption)"
        lines = textwrap.wrap(caption, _TEXT_WIDTH, max_lines=_TEXT_LINES, placeholder="...")
        for i, line in enumerate(lines):
            pen.text((left, top + _CELL + i * _LINE), line, fill="black", font=font)
    return sheet


def draw_rows(rows: Sequence[tuple[str, Sequence[Pair]]]) -> Image.Image:
    """A row of pictures for each title, which stands above it, cut to the width of the sheet."""
    columns = max(len(pairs) for _, pairs in rows)
    parts: list[Image.Image] = []
    for title, pairs in rows:
        parts.append(_title(title, columns * (_CELL + _GAP) + _GAP))
        parts += [draw_sheet([*pairs], columns=columns)] if pairs else []
    return _stacked(parts)


def _title(text: str, width: int) -> Image.Image:
    strip = Image.new("RGB", (width, _GAP + _LINE), "#e8e8e8")
    font = font_of(10)
    text = printable(" ".join(text.split()))
    shown, most = text, width - 2 * _GAP
    while font.getlength(shown) > most:
        text = text[: min(len(text) - 1, int(len(text) * most / font.getlength(shown)) + 1)]
        shown = f"{text.rstrip()}..."
    ImageDraw.Draw(strip).text((_GAP, _GAP), shown, fill="#0b3d91", font=font)
    return strip


def _stacked(parts: list[Image.Image]) -> Image.Image:
    if len(parts) == 1:
        return parts[0]
    size = (max(part.width for part in parts), sum(part.height for part in parts))
    sheet = Image.new("RGB", size, "#e8e8e8")
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    return sheet


def _thumbnail(data: bytes) -> Image.Image:
    """The picture fitted into a white cell, a cross where it cannot be decoded."""
    cell = Image.new("RGB", (_CELL, _CELL), "white")
    try:
        with open_image(data) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            picture = on_white(image)
    except (OSError, SyntaxError, ValueError, DataError, Image.DecompressionBombError):
        ImageDraw.Draw(cell).line([(0, 0), (_CELL, _CELL)], fill="red", width=3)
        return cell
    scale = _CELL / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    cell.paste(picture, ((_CELL - size[0]) // 2, (_CELL - size[1]) // 2))
    return cell
