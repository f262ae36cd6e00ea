"""What became of each question in one setting: the option chosen, or why there is none."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from eval.omnibench.parsers.registry import Parser
from eval.respondents.endings import Ending
from eval.respondents.outcome import Kind, read_response
from eval.respondents.question import OmniQuestion
from eval.respondents.response import Response


class Outcome(NamedTuple):
    """One question in one setting; attributes besides the question as in ``Reading``."""

    question: OmniQuestion
    choice: int | None
    kind: Kind
    text: str = ""
    ending: Ending = ""

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
    reads_endings: bool = True,
) -> tuple[Outcome, ...]:
    """One outcome a question, in the order of the questions; none is left out.

    Args:
        reads_endings: see ``eval.respondents.outcome.read_response``.
    """
    return tuple(
        Outcome(
            question,
            *read_response(
                responses.get((question.index, setting)),
                question.options,
                parse,
                reads_endings=reads_endings,
            ),
        )
        for question in questions
    )


def hits(outcomes: Sequence[Outcome]) -> Bool[np.ndarray, " questions"]:
    """Whether each question is answered rightly."""
    return np.array([outcome.is_right for outcome in outcomes], dtype=bool)
