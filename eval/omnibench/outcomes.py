"""What became of each question in one setting: the option chosen, or why there is none."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool

from eval.omnibench.parsers.registry import Parser
from eval.respondents.endings import Ending
from eval.respondents.question import OmniQuestion
from eval.respondents.response import Response

#: "answered"; "unparsed": words without an answer; "unanswered": no words; "cut": the token limit
#: came before an answer, reasoning included; "filtered": a filter withheld or stopped it;
#: "declined": the model refused to answer; "media": picture or sound cannot be decoded; "refused"
#: and "failed": see ``Response``; "missing": not in the log.
Kind = Literal[
    "answered", "unparsed", "unanswered", "cut", "filtered", "declined", "media", "refused",
    "failed", "missing",
]  # fmt: skip

KINDS: tuple[Kind, ...] = (
    "answered", "unparsed", "unanswered", "cut", "filtered", "declined", "media", "refused",
    "failed", "missing",
)  # fmt: skip


class Outcome(NamedTuple):
    """One question in one setting.

    Attributes:
        question: what was asked.
        choice: number of the option chosen, None unless ``kind`` is "answered".
        kind: see ``Kind``.
        text: what the model wrote; empty where it wrote nothing.
        ending: why the text ended; see ``respondents.endings``.
    """

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
        reads_endings: whether why a text ended matters. Published parsers do not look at it: what
            was cut is read as it stands.
    """
    return tuple(
        _outcome(question, responses.get((question.index, setting)), parse, reads_endings)
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


def _outcome(
    question: OmniQuestion, response: Response | None, parse: Parser, reads_endings: bool
) -> Outcome:
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
    ending = response.ending
    kind = _WITHOUT_ANSWER.get(ending) if reads_endings else None
    if kind is not None:
        return Outcome(question, None, kind, text, ending)
    whole = _whole_sentences(text) if reads_endings and ending == "length" else text
    choice = parse(whole, question.options) if whole.strip() else None
    if choice is not None:
        return Outcome(question, choice, "answered", text, ending)
    if reads_endings and ending == "length":
        return Outcome(question, None, "cut", text, ending)
    return Outcome(question, None, "unparsed" if text.strip() else "unanswered", text, ending)


_WITHOUT_ANSWER: dict[Ending, Kind] = {"content_filter": "filtered", "refusal": "declined"}
_SENTENCE_END = re.compile(r"[.!?:;\n\u3002\uff01\uff1f\u0964](?=\s|$)|[\u3002\uff01\uff1f\n]")


def _whole_sentences(text: str) -> str:
    """A cut text without its last, unfinished sentence: "The answer is B" may go on "or C"."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text.rstrip())]
    return text[: ends[-1]] if ends else ""
