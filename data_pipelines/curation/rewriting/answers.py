"""From what a model wrote to a caption, or the reason why it is none."""

import re
from typing import NamedTuple

from data_pipelines.curation.rewriting.writer import Written
from data_pipelines.shards.text import TOO_LONG, clean_caption

_LABEL = re.compile(r"^(?:(?:the |a )?(?:new|rewritten|rephrased) )?caption\s*:\s*", re.IGNORECASE)
_QUOTES = (('"', '"'), ("'", "'"), ("`", "`"), ("\u201c", "\u201d"), ("\u00ab", "\u00bb"))
_QUOTES += (("\u201e", "\u201c"), ("\u2018", "\u2019"), ("**", "**"))


class Verdict(NamedTuple):
    """A caption, or why there is none; one of the two is empty."""

    caption: str
    reason: str


def verdict_of(written: Written, original: str) -> Verdict:
    """What becomes of an answer.

    Reasons: the ``trouble`` of the answer, "empty", "too long" (more than 8 KiB) and "unchanged".

    Args:
        original: the caption that was to be said again.
    """
    if written.trouble:
        return Verdict("", written.trouble)
    cleaned = clean_caption(plain(written.text))
    if not cleaned.text:
        return Verdict("", "empty")
    if TOO_LONG in cleaned.mended:
        return Verdict("", "too long")
    if cleaned.text == " ".join(original.split()):
        return Verdict("", "unchanged")
    return Verdict(cleaned.text, "")


def plain(text: str) -> str:
    """One line, without an introduction ("Here it is:"), a label or quotation marks around it."""
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    if len(lines) > 1 and lines[0].endswith(":"):
        del lines[0]
    found = _LABEL.sub("", " ".join(" ".join(lines).split()), count=1) if lines else ""
    for first, last in _QUOTES:
        inside = found[len(first) : -len(last)]
        is_around = found.startswith(first) and found.endswith(last) and inside
        if is_around and first not in inside and last not in inside:
            return inside.strip()
    return found
