"""Questions as a file has them, and the set that those make whose videos are there."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines.field_types import is_finite_number
from eval.video.clip_set import ChoiceQuestion, ClipSet, EvalClip, YesNoQuestion
from eval.video.video_files import ListPlace, VideoFiles

Span = tuple[float, float | None] | None

#: Options of a question that has none but is so or is not.
YES_NO = ("yes", "no")


class Asked(NamedTuple):
    """One question as a file has it.

    Attributes:
        video: name of its file, or its path below the folder of the videos.
        kind: of question.
        question: in words.
        options: at least two, or ``YES_NO`` itself.
        answer: number of the true one.
        span: of the video, seconds; None is all of it.
        group: of videos of about one length, in words; empty where nothing is known.
    """

    video: str
    kind: str
    question: str
    options: tuple[str, ...]
    answer: int
    span: Span = None
    group: str = ""


def found_questions(
    name: str,
    split: str,
    asked: Iterable[Asked | None],
    place: ListPlace,
    *,
    remarks: Mapping[str, str] | None = None,
) -> ClipSet:
    """Questions whose videos are there; a video that is asked about twice is one clip.

    Args:
        asked: None for a question that has no options or not one right answer among them.
        remarks: see ``ClipSet``.
    """
    files, left_out = VideoFiles(place.videos), Counter[str]()
    numbers: dict[tuple[str, Span], int] = {}
    clips: list[EvalClip] = []
    choices: list[ChoiceQuestion] = []
    yes_no: list[YesNoQuestion] = []
    for one in asked:
        video = None if one is None else files.find(one.video)
        if one is None:
            left_out["question without options and one answer"] += 1
        elif video is None:
            left_out["question whose video is not in the folder"] += 1
        else:
            key = (one.video, one.span)
            if key not in numbers:
                numbers[key] = len(clips)
                clips.append(EvalClip(one.video, video, (), one.span, Path(one.video).stem))
            number = numbers[key]
            if one.options is YES_NO:
                yes_no.append(YesNoQuestion(one.kind, number, one.question, one.answer == 0))
            else:
                choices.append(
                    ChoiceQuestion(
                        one.kind, number, one.options, one.answer, one.question, one.group
                    )
                )
    return ClipSet(
        name=name,
        split=split,
        clips=tuple(clips),
        choices=tuple(choices),
        yes_no=tuple(yes_no),
        left_out=left_out,
        remarks=remarks or {},
    )


def items(value: Any) -> Iterator[tuple[str, Any]]:
    """Of an object; none of anything else."""
    return iter(value.items() if isinstance(value, dict) else ())


def listed(value: Any) -> list[Any]:
    """A list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def options_of(value: Any) -> tuple[str, ...]:
    """Texts of a list that are not blank."""
    return tuple(one for one in listed(value) if isinstance(one, str) and one.strip())


def seconds_of(value: Any) -> float | None:
    """A moment or length in seconds; None for what is none."""
    return float(value) if is_finite_number(value) and value >= 0 else None
