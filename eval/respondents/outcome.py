"""What became of a question that a model was asked: the option chosen, or why there is none."""

import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from eval.respondents.endings import Ending
from eval.respondents.response import Response

#: "answered"; "unparsed": words without an answer; "unanswered": no words; "cut": the token limit
#: came before an answer, reasoning included; "filtered": a filter withheld or stopped it;
#: "declined": the model refused to answer; "media": what it is about cannot be decoded; "refused"
#: and "failed": see ``Response``; "missing": not in the log.
Kind = Literal[
    "answered", "unparsed", "unanswered", "cut", "filtered", "declined", "media", "refused",
    "failed", "missing",
]  # fmt: skip

KINDS: tuple[Kind, ...] = (
    "answered", "unparsed", "unanswered", "cut", "filtered", "declined", "media", "refused",
    "failed", "missing",
)  # fmt: skip

#: From what a model wrote and the options to the number of one; None where it chooses none.
Parse = Callable[[str, Sequence[str]], int | None]


class Reading(NamedTuple):
    """What a response says.

    Attributes:
        choice: number of the option chosen, None unless ``kind`` is "answered".
        kind: see ``Kind``.
        text: what the model wrote; empty where it wrote nothing.
        ending: why the text ended; see ``respondents.endings``.
    """

    choice: int | None
    kind: Kind
    text: str = ""
    ending: Ending = ""


def read_response(
    response: Response | None, options: Sequence[str], parse: Parse, *, reads_endings: bool = True
) -> Reading:
    """The option that a response chooses, by its scores or by its words.

    Args:
        response: None where there is none.
        reads_endings: whether why a text ended matters. Published parsers do not look at it: what
            was cut is read as it stands.
    """
    if response is None:
        return Reading(None, "missing")
    text = response.text or ""
    if response.error is not None or response.kind:
        kind = response.kind if response.kind in ("media", "refused") else "failed"
        return Reading(None, kind, text)
    if response.scores is not None:
        if len(response.scores) != len(options) or np.isnan(response.scores).all():
            return Reading(None, "unparsed", str(response.scores))
        return Reading(best_option(response.scores), "answered", text)
    ending = response.ending
    without = _WITHOUT_ANSWER.get(ending) if reads_endings else None
    if without is not None:
        return Reading(None, without, text, ending)
    whole = _whole_sentences(text) if reads_endings and ending == "length" else text
    choice = parse(whole, options) if whole.strip() else None
    if choice is not None:
        return Reading(choice, "answered", text, ending)
    if reads_endings and ending == "length":
        return Reading(None, "cut", text, ending)
    return Reading(None, "unparsed" if text.strip() else "unanswered", text, ending)


def best_option(scores: Sequence[float]) -> int:
    """The highest score, the lowest number where several share it.

    Not-a-number is below everything.
    """
    clean = np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=-np.inf, neginf=-np.inf)
    return int(clean.argmax())


_WITHOUT_ANSWER: dict[Ending, Kind] = {"content_filter": "filtered", "refusal": "declined"}
_SENTENCE_END = re.compile(r"[.!?:;\n\u3002\uff01\uff1f\u0964](?=\s|$)|[\u3002\uff01\uff1f\n]")


def _whole_sentences(text: str) -> str:
    """A cut text without its last, unfinished sentence: "The answer is B" may go on "or C"."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text.rstrip())]
    return text[: ends[-1]] if ends else ""
