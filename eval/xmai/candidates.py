"""Which proposed words may be inserted: grammar, people, and truth. The rules are our own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, get_args, runtime_checkable

from eval.errors import EvaluationError
from eval.xmai.attributes import GROUPS, OTHER_ADJECTIVES, all_words
from eval.xmai.matching import Noun
from eval.xmai.people import names_person
from eval.xmai.proposals import Context, Proposal
from eval.xmai.specs import Truth

TRUTHS: tuple[Truth, ...] = get_args(Truth)

_LAST_WORD = re.compile(r"([^\W_]+)\W*$")
#: A vowel on paper that is none in the ear, and the reverse; the common cases.
_CONSONANT_SOUND = re.compile(r"(?:uni(?:[cfqstv]|on)|eu|one|once|us[ae]|uti|ura|ufo)")
_VOWEL_SOUND = re.compile(r"(?:hon(?:est|o[u]?r)|hour|heir)")


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
        nouns: Sequence[Noun],
        proposals: Sequence[Sequence[Proposal]],
    ) -> list[list[Proposal]]:
        """For each gap the proposals that obey the rules, in their order."""
        plain = [
            [p for p in own if fits_article(context.before, p.word) and self._fits(noun, p.word)]
            for context, noun, own in zip(contexts, nouns, proposals, strict=True)
        ]
        # the dear check last, on as many as could be wanted; a tagger rejects about half
        shortened = [own[: 4 * self.at_most] for own in plain]
        unsure = [
            (gap, proposal)
            for gap, own in enumerate(shortened)
            for proposal in own
            if proposal.word not in contexts[gap].seen
        ]
        answers = self.adjectives([_tried(contexts[gap], p.word) for gap, p in unsure])
        refused = {key for key, is_one in zip(unsure, answers, strict=True) if not is_one}
        return [
            [p for p in own if (gap, p) not in refused][: self.at_most]
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


def fits_article(before: str, word: str) -> bool:
    """Whether a word may follow the last one of ``before``, if that is "a" or "an"."""
    last = _LAST_WORD.search(before)
    article = last.group(1).lower() if last else ""
    if article not in ("a", "an"):
        return True
    return (article == "an") == sounds_like_vowel(word)


def sounds_like_vowel(word: str) -> bool:
    """Whether English says "an" before a word; by spelling, with the common exceptions."""
    lower = word.lower()
    if _VOWEL_SOUND.match(lower):
        return True
    return lower[:1] in set("aeiou") and not _CONSONANT_SOUND.match(lower)


def _tried(context: Context, word: str) -> Tried:
    start = len(context.before)
    return Tried(f"{context.before}{word} {context.after}", start, start + len(word))


def _is_tagged(document: Any, tried: Tried) -> bool:
    span = document.char_span(tried.start, tried.end)
    if span is None:
        return False
    last = span[-1]
    return last.pos_ == "ADJ" or last.tag_.startswith("JJ") or last.tag_ in ("VBN", "VBG")
