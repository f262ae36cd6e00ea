"""Faults of inserted words, by the tags of the changed caption and by what was noted by hand."""

import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.support.xmai_runs import captions_in
from data_pipelines.errors import UserError
from eval.xmai.adjective_order import in_order, kind_of
from eval.xmai.grammar import slips
from eval.xmai.modifiers import is_limiting
from eval.xmai.records import Insertion, PerturbedCaption

#: What is counted, of insertions where nothing else is said.
FIELDS = (
    "changed_captions", "insertions", "after_an_adjective", "wrong_order", "two_of_a_kind",
    "captions_that_repeat", "denied_nouns", "inside_a_word", "new_slips",
)  # fmt: skip

_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


class Caption(NamedTuple):
    """A caption and the nouns in it that it says are not there."""

    text: str
    denied: tuple[str, ...]


def read_captions(path: Path) -> list[Caption]:
    """One caption a line, with denied nouns after a tab, joined by commas.

    Raises:
        UserError: no such file, or nothing in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read captions from {path} ({error}); give a text file") from error
    cells = [line.split("\t") for line in lines if line.strip()]
    if not cells:
        raise UserError(f"{path} holds no captions; write one a line")
    return [
        Caption(one[0], tuple(",".join(one[1:]).split(",")) if one[1:] else ()) for one in cells
    ]


class Judge:
    """Counts faults.

    Args:
        pipeline: of spaCy, with a tagger.
        captions: as they were.
    """

    def __init__(self, pipeline: Any, captions: list[Caption]) -> None:
        self._pipeline = pipeline
        self.captions = captions

    def nouns(self, caption: Caption) -> list[str]:
        """Every noun, in lower case, and the denied ones first."""
        document = self._pipeline(caption.text.lower())
        tagged = [token.text for token in document if token.pos_ in ("NOUN", "PROPN")]
        return list(dict.fromkeys([*caption.denied, *tagged]))

    def of_file(self, path: Path, *, show: bool) -> dict[str, int]:
        """How often each fault comes; see ``FIELDS``."""
        counts = Counter({field: 0 for field in FIELDS})
        for caption, changed in zip(self.captions, captions_in(path), strict=True):
            found = self._of_caption(caption, changed)
            counts.update(found)
            faults = {name: n for name, n in found.items() if name in FIELDS[2:]}
            if show and faults:
                print(f"{changed.perturbed}   {dict(faults)}")
        return dict(counts)

    def _of_caption(self, caption: Caption, changed: PerturbedCaption) -> Counter[str]:
        document = self._pipeline(changed.perturbed.lower())
        counts = Counter(changed_captions=int(changed.is_changed))
        counts["insertions"] = len(changed.insertions)
        words = Counter(word.lower() for word in _WORD.findall(changed.perturbed))
        counts["captions_that_repeat"] = int(
            any(words[one.word.lower()] > 1 for one in changed.insertions)
        )
        added = slips(changed.perturbed) - slips(changed.original)
        counts["new_slips"] = added.total()
        shift = 0
        for one in changed.insertions:
            self._count(one, document, one.offset + shift, caption, counts)
            counts["inside_a_word"] += _is_inside(changed, one.offset + shift, len(one.text))
            shift += len(one.text)
        return +counts

    def _count(
        self, one: Insertion, document: Any, start: int, caption: Caption, counts: Counter[str]
    ) -> None:
        own = next((token for token in document if token.idx >= start), None)
        if own is None:
            return
        left, right = _adjectives(document, own.i, -1), _adjectives(document, own.i, 1)
        counts["after_an_adjective"] += bool(left)
        is_wrong = any(in_order(word, one.word) is False for word in left) or any(
            in_order(one.word, word) is False for word in right
        )
        counts["wrong_order"] += is_wrong
        counts["denied_nouns"] += one.noun.lower() in caption.denied
        spans = [kind_of(word) for word in (*left, *right)]
        counts["two_of_a_kind"] += kind_of(one.word) in spans


def _is_inside(changed: PerturbedCaption, start: int, length: int) -> bool:
    """Whether letters or a hyphen touch the inserted text."""
    before, after = changed.perturbed[:start][-1:], changed.perturbed[start + length :][:1]
    return before.isalnum() or before == "-" or not (after.isalnum() or after in "\"'([")


def _adjectives(document: Any, at: int, step: int) -> list[str]:
    """The adjectives right beside a token, on one side, across commas and "and"."""
    found = []
    at += step
    while 0 <= at < len(document):
        token = document[at]
        if is_limiting(token.lower_):
            break
        if token.pos_ == "ADJ" or token.tag_.startswith("JJ"):
            found.append(token.text)
        elif token.lower_ not in (",", "and") or not found:
            break
        at += step
    return found
