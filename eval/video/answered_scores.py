"""From responses to scores: what each question's answer says, and what is right of them."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.schema import JsonValue
from eval.answers.polar import yes_or_no
from eval.answers.reading import chosen_option
from eval.respondents.outcome import KINDS, Reading, read_response
from eval.respondents.response import Response
from eval.video.clip_set import ClipSet
from eval.video.scored import Answered
from eval.video.wording import Worded

#: What guessing one letter a question reaches at two and at all four questions of a pair. (The
#: published 1/6 of the group score is that of comparing four similarities.)
_TWO, _FOUR = 1 / 4, 1 / 16


class Marked(NamedTuple):
    """A question with what was answered."""

    question: Worded
    reading: Reading
    response: Response

    @property
    def is_right(self) -> bool:
        """Whether the right option was chosen; everything else counts as wrong."""
        return self.reading.choice == self.question.answer

    @property
    def is_shown(self) -> bool:
        """Whether its clips could be decoded; else it is in no score."""
        return self.reading.kind != "media"


def marked(questions: Sequence[Worded], responses: Sequence[Response]) -> list[Marked]:
    """Each question with what its response says."""
    return [
        Marked(question, _read(question, response), response)
        for question, response in zip(questions, responses, strict=True)
    ]


def by_score(found: ClipSet, marks: Sequence[Marked]) -> dict[str, Answered]:
    """What each score is the mean of.

    Args:
        marks: of ``worded_set`` of the same set, in its order.
    """
    told = [(one.kind, one.group) for one in found.choices]
    told += [(one.kind, "") for one in found.yes_no]
    shown = [
        (mark, own) for mark, own in zip(marks[: len(told)], told, strict=True) if mark.is_shown
    ]
    read = [(mark, own) for mark, own in shown if mark.reading.kind == "answered"]
    scores = {}
    for name, some in (("accuracy", shown), ("accuracy_answered", read)):
        if some:
            scores[name] = Answered(
                np.array([float(mark.is_right) for mark, _ in some]),
                np.array([mark.question.clips[0] for mark, _ in some]),
                tuple((kind,) for _, (kind, _) in some),
                np.array([1 / len(mark.question.options) for mark, _ in some]),
                tuple(group for _, (_, group) in some),
            )
    return scores | _of_pairs(found, marks[len(told) :])


def _of_pairs(found: ClipSet, marks: Sequence[Marked]) -> dict[str, Answered]:
    rows, right = [], []
    for row in range(len(found.pairs)):
        own = marks[4 * row : 4 * row + 4]
        if all(mark.is_shown for mark in own):
            rows.append(row)
            right.append([mark.is_right for mark in own])
    if not rows:
        return {}
    table = np.array(right)
    hits = {
        "text_score": (table[:, :2].all(axis=1), _TWO),
        "video_score": (table[:, 2:].all(axis=1), _TWO),
        "group_score": (table.all(axis=1), _FOUR),
    }
    clips = np.array([found.pairs[row].clips[0] for row in rows])
    kinds = tuple(found.pairs[row].kinds for row in rows)
    return {
        name: Answered(np.asarray(hit, dtype=np.float64), clips, kinds, np.full(len(rows), level))
        for name, (hit, level) in hits.items()
    }


def broken_clips(marks: Sequence[Marked]) -> set[int]:
    """Numbers of the clips that could not be decoded; each is asked about alone somewhere."""
    lone = [mark for mark in marks if len(mark.question.clips) == 1]
    return {mark.question.clips[0] for mark in lone if not mark.is_shown}


def remarks(marks: Sequence[Marked], *, num_examples: int) -> dict[str, JsonValue]:
    """What a result tells of its answers besides scores.

    Args:
        num_examples: answers that are kept word for word.
    """
    counts = Counter(mark.reading.kind for mark in marks)
    lettered = [m for m in marks if m.question.has_letters and m.is_shown]
    chosen = Counter(m.reading.choice for m in lettered if m.reading.choice is not None)
    right = Counter(m.question.answer for m in lettered)
    places = range(max((*chosen, *right), default=-1) + 1)
    examples: list[JsonValue] = [
        {
            "question": mark.question.text,
            "answer": mark.reading.text,
            "read_as": None
            if mark.reading.choice is None
            else mark.question.options[mark.reading.choice],
            "right": mark.question.options[mark.question.answer],
        }
        for mark in marks[:num_examples]
    ]
    return {
        "counts": {kind: counts[kind] for kind in KINDS if counts[kind]},
        "chosen_by_place": [chosen[place] for place in places],
        "right_by_place": [right[place] for place in places],
        "input_tokens": _sum([mark.response.input_tokens for mark in marks]),
        "output_tokens": _sum([mark.response.output_tokens for mark in marks]),
        "answers": examples,
    }


def _sum(counted: Sequence[int | None]) -> int | None:
    """Over those that are told; None where none is."""
    told = [count for count in counted if count is not None]
    return sum(told) if told else None


def _read(question: Worded, response: Response) -> Reading:
    parse = chosen_option if question.has_letters else _polar
    return read_response(response, question.options, parse)


def _polar(text: str, options: Sequence[str]) -> int | None:
    answer = yes_or_no(text)
    return None if answer is None else 0 if answer else 1
