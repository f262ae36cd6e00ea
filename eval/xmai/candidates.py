"""Which proposed words may be inserted: grammar, people, and truth. The rules are our own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, get_args, runtime_checkable

from eval.errors import EvaluationError
from eval.xmai.attributes import GROUPS, OTHER_ADJECTIVES, all_words
from eval.xmai.letter_case import in_plain_case
from eval.xmai.matching import Noun
from eval.xmai.people import names_person
from eval.xmai.placing import Draft, Fit
from eval.xmai.proposals import Context, Proposal
from eval.xmai.specs import Truth

TRUTHS: tuple[Truth, ...] = get_args(Truth)


class Tried(NamedTuple):
    """A word in its sentence; ``start`` and ``end`` are its characters there."""

    sentence: str
    start: int
    end: int


@runtime_checkable
class Adjectives(Protocol):
    """Says of words in sentences whether they are adjectives there."""

    def __call__(self, tried: Sequence[Tried]) -> list[bool]: ...


class ListedAdjectives:
    """Words of a list, wherever they stand.

    Args:
        known: in lower case.
    """

    def __init__(self, known: frozenset[str] = OTHER_ADJECTIVES | all_words(GROUPS)) -> None:
        self._known = known

    def __call__(self, tried: Sequence[Tried]) -> list[bool]:
        """See ``Adjectives``."""
        return [one.sentence[one.start : one.end].lower() in self._known for one in tried]


class TaggedAdjectives:
    """Words that a spaCy pipeline tags as adjective or participle in the sentence."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def __call__(self, tried: Sequence[Tried]) -> list[bool]:
        """See ``Adjectives``."""
        distinct = sorted({one.sentence for one in tried})
        documents = dict(zip(distinct, self._pipeline.pipe(distinct), strict=True))
        return [_is_tagged(documents[one.sentence], one) for one in tried]


def load_adjectives(nouns: str) -> Adjectives:
    """The check that goes with the nouns: the same spaCy pipeline, or the list for "rules".

    Raises:
        EvaluationError: the pipeline is missing.
    """
    kind, _, model = nouns.partition(":")
    if kind != "spacy":
        return ListedAdjectives()
    from eval.hub.loading import load_spacy

    return TaggedAdjectives(load_spacy(model))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What is kept of the proposals for a gap.

    Args:
        blocked: words that are not put before a person.
        adjectives: see ``Adjectives``; detected attributes are not asked about.
        at_most: proposals kept a gap.
    """

    blocked: frozenset[str]
    adjectives: Adjectives
    at_most: int

    def kept(
        self,
        contexts: Sequence[Context],
        drafts: Sequence[Draft],
        proposals: Sequence[Sequence[Proposal]],
    ) -> list[list[Fit]]:
        """For each gap the proposals that obey the rules, in their order, at their places."""
        plain = [
            [fit for p in own if self._fits(draft.noun, p.word) and (fit := draft.fit(*p))]
            for draft, own in zip(drafts, proposals, strict=True)
        ]
        # the dear check last, on as many as could be wanted; a tagger rejects about half
        shortened = [own[: 4 * self.at_most] for own in plain]
        unsure = [
            (gap, fit)
            for gap, own in enumerate(shortened)
            for fit in own
            if fit.word not in contexts[gap].seen
        ]
        answers = self.adjectives([_tried(fit) for _, fit in unsure])
        refused = {key for key, is_one in zip(unsure, answers, strict=True) if not is_one}
        return [
            [fit for fit in own if (gap, fit) not in refused][: self.at_most]
            for gap, own in enumerate(shortened)
        ]

    def _fits(self, noun: Noun, word: str) -> bool:
        return word not in self.blocked or not names_person(noun.phrase)


def check_truth(truth: str, *, has_tagger: bool) -> Truth:
    """The truth called so.

    Raises:
        EvaluationError: unknown, or "clip" without a tagger.
    """
    for known in TRUTHS:
        if known == truth:
            if truth == "clip" and not has_tagger:
                raise EvaluationError("--truth clip needs a model that looks: add --tagger CLIP")
            return known
    raise EvaluationError(f"unknown truth '{truth}'; choose {', '.join(TRUTHS)}")


def _tried(fit: Fit) -> Tried:
    """Read in lower case where the caption is in capitals."""
    sentence = in_plain_case(fit.sentence)
    start = len(fit.before)
    return Tried(sentence, start, start + len(fit.written))


def _is_tagged(document: Any, tried: Tried) -> bool:
    span = document.char_span(tried.start, tried.end)
    if span is None:
        return False
    last = span[-1]
    return last.pos_ == "ADJ" or last.tag_.startswith("JJ") or last.tag_ in ("VBN", "VBG")
