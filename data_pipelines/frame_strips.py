"""Rows of frames with their captions: what is in a set of videos, at a glance."""

import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from data_pipelines.errors import DataError
from data_pipelines.fonts import font_of
from data_pipelines.image_formats import open_image
from data_pipelines.images import MAX_PIXELS, on_white
from data_pipelines.schema import Clip, Frames
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.video.process import shared_process
from data_pipelines.video.sampler import segment_frames

NUM_FRAMES = 5

_HEIGHT, _WIDTH = 96, 128  # of a cell, pixels
_GAP = 8
_LINE = 13
_TEXT_LINES = 2


class Strip(NamedTuple):
    """Frames in order of time, none where they cannot be decoded, and what is said of them."""

    frames: tuple[Image.Image, ...]
    caption: str


def strip_of(sample: StoredSample) -> Strip | None:
    """The first clip of a sample, or its frames; None where it has neither.

    Raises:
        DataError: its members cannot be read.
        MissingDecoderError: this machine cannot read videos.
    """
    clips, frames = sample.clips, sample.frames
    if not clips and frames is None:
        return None
    captions = sample.plain_captions(one_per_line=False)
    caption = (clips[0].caption if clips else "") or (captions[0] if captions else "(no caption)")
    try:
        shown = _of_clip(clips[0]) if clips else _of_frames(frames) if frames else ()
    except (OSError, SyntaxError, ValueError, DataError, Image.DecompressionBombError):
        shown = ()
    return Strip(shown, caption)


def draw_strips(strips: Sequence[Strip]) -> Image.Image:
    """One below the other, the caption under each; a cross where nothing can be decoded."""
    row = _HEIGHT + _TEXT_LINES * _LINE + _GAP
    width = NUM_FRAMES * (_WIDTH + 2) + 2 * _GAP
    sheet = Image.new("RGB", (width, len(strips) * row + _GAP), "#e8e8e8")
    pen = ImageDraw.Draw(sheet)
    font = font_of(9)
    for number, strip in enumerate(strips):
        top = _GAP + number * row
        for place in range(NUM_FRAMES if strip.frames else 1):
            picture = strip.frames[place] if strip.frames else None
            sheet.paste(_cell(picture), (_GAP + place * (_WIDTH + 2), top))
        lines = textwrap.wrap(strip.caption, 110, max_lines=_TEXT_LINES, placeholder="...")
        for i, line in enumerate(lines):
            pen.text((_GAP, top + _HEIGHT + i * _LINE), line, fill="black", font=font)
    return sheet


def _of_clip(clip: Clip) -> tuple[Image.Image, ...]:
    span = None if not clip.start and clip.end is None else (clip.start, clip.end)
    found = shared_process().sample(clip.data, NUM_FRAMES, span=span, index=clip.index)
    return tuple(Image.fromarray(pixels) for pixels in found.frames)


def _of_frames(frames: Frames) -> tuple[Image.Image, ...]:
    total = len(frames.images) if frames.pixels is None else len(frames.pixels)
    numbers = segment_frames(total, NUM_FRAMES)
    if frames.pixels is not None:
        return tuple(Image.fromarray(np.asarray(frames.pixels[number])) for number in numbers)
    return tuple(_opened(frames.images[number].data) for number in numbers)


def _opened(data: bytes) -> Image.Image:
    with open_image(data) as image:
        if image.width * image.height > MAX_PIXELS:
            raise DataError("too many pixels")
        return on_white(image)


def _cell(picture: Image.Image | None) -> Image.Image:
    cell = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    if picture is None:
        ImageDraw.Draw(cell).line([(0, 0), (_WIDTH, _HEIGHT)], fill="red", width=3)
        return cell
    scale = min(_WIDTH / picture.width, _HEIGHT / picture.height)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BICUBIC)
    cell.paste(small, ((_WIDTH - width) // 2, (_HEIGHT - height) // 2))
    return cell
