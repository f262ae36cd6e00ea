"""A question as ordered parts of text, picture and sound, in four styles.

``vlsuite`` is ours. ``upstream``, ``lmms`` and ``evalscope`` follow the order of parts, the form of
the options and the place of text replacements of the published demo, of lmms-eval (75571cf) and of
evalscope (fde259d); their instructions ask for the same kind of answer, in our own words. Where
the upstream demo sends text and picture, a sound goes after the picture (our inference: for chat
models it never sends one).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from eval.errors import EvaluationError
from eval.respondents.media import BytesMedia
from eval.respondents.question import LETTERS, SETTINGS, Media, OmniQuestion, Prompted, prompted


@dataclass(frozen=True, slots=True)
class TextPart:
    """Written words."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """A picture, encoded."""

    media: Media


@dataclass(frozen=True, slots=True)
class AudioPart:
    """A sound, encoded."""

    media: Media


Part: TypeAlias = TextPart | ImagePart | AudioPart


def parts(question: Prompted, style: str = "vlsuite") -> list[Part]:
    """What a model is shown, in order; nothing of what the setting removes is in ``question``.

    A question without options is open: it is asked as it stands, whatever the style; frames of a
    video come first, each after its time.

    Raises:
        EvaluationError: the style is unknown.
    """
    styled = STYLES[checked_style(style)]
    return styled(question) if question.options else _open(question)


def checked_style(style: str) -> str:
    """The style itself.

    Raises:
        EvaluationError: it is unknown.
    """
    if style not in STYLES:
        raise EvaluationError(f"unknown prompt style '{style}'; choose from {', '.join(STYLES)}")
    return style


def style_fingerprint(style: str) -> str:
    """SHA-256 over a fixed question in all settings: another wording is another fingerprint."""
    digest = hashlib.sha256(style.encode())
    for setting in SETTINGS.values():
        for part in parts(prompted(_PROBE, setting), style):
            told = part.text if isinstance(part, TextPart) else part.media.name
            digest.update(f"{setting.name}\0{type(part).__name__}\0{told}\0".encode())
    return digest.hexdigest()


def _media(question: Prompted) -> tuple[list[Part], list[Part]]:
    image: list[Part] = [] if question.image is None else [ImagePart(question.image)]
    audio: list[Part] = [] if question.audio is None else [AudioPart(question.audio)]
    return image, audio


def _open(question: Prompted) -> list[Part]:
    image, audio = _media(question)
    frames: list[Part] = []
    for frame in question.frames:
        frames += [TextPart(f"{frame.seconds:.1f} s:"), ImagePart(frame.picture)]
    return [*frames, *image, *audio, TextPart(question.text)]


def _vlsuite(question: Prompted) -> list[Part]:
    image, audio = _media(question)
    lines = []
    if question.caption is not None:
        lines.append(f"The picture, described in words: {question.caption.strip()}\n")
    if question.transcript is not None:
        lines.append(f"The recording, put into words: {question.transcript.strip()}\n")
    lines += [f"Question: {question.text.strip()}", *_lettered(question.options, ". ")]
    lines.append("Answer with the letter of the right option and nothing else.")
    return [*image, *audio, TextPart("\n".join(lines))]


def _upstream(question: Prompted) -> list[Part]:
    image, audio = _media(question)
    given = []
    if image or question.caption is not None:
        given.append("image" if image else "image content")
    if audio or question.transcript is not None:
        given.append("audio" if audio else "audio content")
    lines = [f"Answer the question below from the given {' and '.join(given)}."]
    lines += _replacements(question)
    options = " ".join(_lettered(question.options, ". "))
    lines += [f"{question.text}.", "Pick exactly one of these options.", f"{options}."]
    return [TextPart("\n".join(lines)), *image, *audio]


def _lmms(question: Prompted) -> list[Part]:
    image, audio = _media(question)
    lines = [*_replacements(question), question.text, *_lettered(question.options, ". ")]
    lines.append("Reply with the letter of the correct option.")
    return [*audio, *image, TextPart("\n".join(lines))]


def _evalscope(question: Prompted) -> list[Part]:
    image, audio = _media(question)
    letters = ",".join(LETTERS[: len(question.options)])
    lines = [
        "Answer this question about the image and the audio. Think step by step, and end with a "
        f"line 'ANSWER: X' where X is one of {letters}.",
        question.text,
        *_lettered(question.options, ") "),
        *_replacements(question),
    ]
    return [TextPart("\n".join(lines)), *image, *audio]


def _replacements(question: Prompted) -> list[str]:
    """The texts that stand for removed media, the transcript first."""
    told = []
    if question.transcript is not None:
        told.append(f"Audio content: {question.transcript}")
    if question.caption is not None:
        told.append(f"Image content: {question.caption}")
    return told


def _lettered(options: Sequence[str], mark: str) -> list[str]:
    return [f"{letter}{mark}{option}" for letter, option in zip(LETTERS, options, strict=False)]


STYLES: Mapping[str, Callable[[Prompted], list[Part]]] = MappingProxyType(
    {"vlsuite": _vlsuite, "upstream": _upstream, "lmms": _lmms, "evalscope": _evalscope}
)

_PROBE = OmniQuestion(
    index=0,
    task_type="task",
    audio_type="audio",
    text="question",
    options=("first", "second", "third", "fourth"),
    answer=0,
    transcript="transcript",
    caption="caption",
    image=BytesMedia("picture", b""),
    audio=BytesMedia("sound", b""),
)
