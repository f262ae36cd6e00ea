"""The parser of evalscope's OmniBench task, frozen with its faults.

Public code: modelscope/evalscope, evalscope/utils/multi_choices.py. Rewritten from its rules:
the last "ANSWER:" that a label follows, else the last capital letter of the response if it is one
of the options' letters.
"""

import re
from collections.abc import Sequence

from eval.omnibench.parsers.registry import parsers
from eval.respondents.question import LETTERS

_MARKER = re.compile(r"answer\s*:\s*\**\s*", re.IGNORECASE)
_BRACKETED = re.compile(
    r"[(\[\uff08【]\s*([A-Za-z\d](?:\s*[,\uff0c]\s*[A-Za-z\d])*)\s*[)\]\uff09】]"
)
_PLAIN = re.compile(r"[A-Za-z\d][A-Za-z\d ,]*")
_WORD = re.compile(r"[A-Za-z\d]+")


@parsers.register("evalscope")
def parse_evalscope(text: str, options: Sequence[str]) -> int | None:
    """No answer where the harness finds none; it counts that as wrong."""
    letters = LETTERS[: len(options)]
    label = _marked(text, letters)
    if label is None:
        capital = next((sign for sign in reversed(text) if sign.isupper()), "")
        return letters.find(capital) if capital and capital in letters else None
    label = label.strip().rstrip(".")
    return letters.find(label) if len(label) == 1 and label in letters else None


def _marked(text: str, letters: str) -> str | None:
    """The labels after the last marker that has any."""
    for marker in reversed(list(_MARKER.finditer(text))):
        for pattern, group in ((_BRACKETED, 1), (_PLAIN, 0)):
            found = pattern.match(text, marker.end())
            if found and (labels := _leading_labels(found.group(group), letters)):
                return labels
    return None


def _leading_labels(capture: str, letters: str) -> str:
    """As far as it holds nothing but labels: "B, not C" gives "B"."""
    end = 0
    for word in _WORD.finditer(capture):
        if not set(word.group()) <= set(letters):
            break
        end = word.end()
    return capture[:end]
