"""Frames of clips as encoded pictures with their times, for models that are sent pictures."""

import io
from collections.abc import Iterable, Sequence

from PIL import Image

from eval.respondents.media import BytesMedia
from eval.respondents.question import Frame
from eval.video.clip_set import EvalClip
from eval.video.decoding import ClipPicture

#: Seconds of black between two clips that are shown as one, as in Vinoground's joined videos.
BLACK_SECONDS = 2.0


def as_jpegs(pictures: Iterable[ClipPicture], *, side: int, quality: int) -> tuple[Frame, ...]:
    """The frames of a clip, timed from the first frame of the whole video.

    Each is encoded as soon as it is there: a clip is never held in the size of its video.

    Args:
        side: longest side, pixels; larger frames are scaled down, smaller ones stay.
        quality: of the JPEG, 1 to 95.
    """
    frames = {
        place: Frame(_jpeg(picture, side, quality), seconds) for place, picture, seconds in pictures
    }
    return tuple(frames[place] for place in sorted(frames))


def from_start(frames: Sequence[Frame], clip: EvalClip) -> tuple[Frame, ...]:
    """The same, timed from the start of the clip."""
    start = 0.0 if clip.span is None else clip.span[0]
    return tuple(Frame(frame.picture, max(0.0, frame.seconds - start)) for frame in frames)


def joined(clips: Sequence[tuple[Frame, ...]]) -> tuple[Frame, ...]:
    """Clips one after the other, a black picture between them; times go on."""
    frames: list[Frame] = list(clips[0])
    for clip in clips[1:]:
        last = frames[-1]
        with Image.open(io.BytesIO(last.picture.read()), formats=["JPEG"]) as picture:
            black = _jpeg(Image.new("RGB", picture.size), max(picture.size), 90)
        middle = last.seconds + BLACK_SECONDS / 2
        frames.append(Frame(black, middle))
        begin = last.seconds + BLACK_SECONDS
        frames += [Frame(own.picture, begin + own.seconds) for own in clip]
    return tuple(frames)


def _jpeg(picture: Image.Image, side: int, quality: int) -> BytesMedia:
    if max(picture.size) > side:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return BytesMedia("frame", out.getvalue())
