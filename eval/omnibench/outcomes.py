"""What became of each question in one setting: the option chosen, or why there is none."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool

from eval.omnibench.parsers.registry import Parser
from eval.respondents.question import OmniQuestion
from eval.respondents.response import Response

#: "answered"; "unparsed": words without an answer; "unanswered": no words; "media": picture or
#: sound cannot be decoded; "refused" and "failed": see ``Response``; "missing": not in the log.
Kind = Literal["answered", "unparsed", "unanswered", "media", "refused", "failed", "missing"]

KINDS: tuple[Kind, ...] = (
    "answered", "unparsed", "unanswered", "media", "refused", "failed", "missing",
)  # fmt: skip


class Outcome(NamedTuple):
    """One question in one setting.

    Attributes:
        question: what was asked.
        choice: number of the option chosen, None unless ``kind`` is "answered".
        kind: see ``Kind``.
        text: what the model wrote; empty where it wrote nothing.
    """

    question: OmniQuestion
    choice: int | None
    kind: Kind
    text: str = ""

    @property
    def is_right(self) -> bool:
        """Whether the right option was chosen; everything else counts as wrong."""
        return self.choice == self.question.answer


def outcomes_of(
    questions: Sequence[OmniQuestion],
    responses: Mapping[tuple[int, str], Response],
    *,
    setting: str,
    parse: Parser,
) -> tuple[Outcome, ...]:
    """One outcome a question, in the order of the questions; none is left out."""
    return tuple(
        _outcome(question, responses.get((question.index, setting)), parse)
        for question in questions
    )


def hits(outcomes: Sequence[Outcome]) -> Bool[np.ndarray, " questions"]:
    """Whether each question is answered rightly."""
    return np.array([outcome.is_right for outcome in outcomes], dtype=bool)


def best_option(scores: Sequence[float]) -> int:
    """The highest score, the lowest number where several share it.

    Not-a-number is below everything.
    """
    clean = np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=-np.inf, neginf=-np.inf)
    return int(clean.argmax())


def _outcome(question: OmniQuestion, response: Response | None, parse: Parser) -> Outcome:
    if response is None:
        return Outcome(question, None, "missing")
    text = response.text or ""
    if response.error is not None or response.kind:
        kind = response.kind if response.kind in ("media", "refused") else "failed"
        return Outcome(question, None, kind, text)
    if response.scores is not None:
        if len(response.scores) != len(question.options) or np.isnan(response.scores).all():
            return Outcome(question, None, "unparsed", str(response.scores))
        return Outcome(question, best_option(response.scores), "answered", text)
    if not text.strip():
        return Outcome(question, None, "unanswered", text)
    choice = parse(text, question.options)
    return Outcome(question, choice, "unparsed" if choice is None else "answered", text)
