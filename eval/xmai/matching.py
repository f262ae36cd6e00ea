"""Which nouns of a caption are in the picture, by character: "direct", "sim" or "mix".

The three modes and the threshold are published (arXiv 2306.11065, section 3 and its code).
Departures: names are compared without regard to case and number, the first word and a noun before
a full stop can match, and a compound ("police officer") is one noun.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

from data_pipelines.component_names import named
from data_pipelines.noise.phrases import CONNECTIVES, DETERMINERS, WORD, rule_phrases
from data_pipelines.registry import Registry
from eval.errors import EvaluationError
from eval.hub.similarity import Similarity
from eval.xmai.attributes import GROUPS, OTHER_ADJECTIVES, all_words, words
from eval.xmai.detections import Detection
from eval.xmai.specs import Mode

#: Cosine from which two nouns count as the same thing (published).
THRESHOLD = 0.7

_NUMERALS = words("one two three four five six seven eight nine ten several many few")
_BEFORE_NOUN = OTHER_ADJECTIVES | all_words(GROUPS) | DETERMINERS | _NUMERALS


class Noun(NamedTuple):
    """A noun as characters of its caption.

    Attributes:
        offset: where a modifier would go: before the compound that the noun ends.
        start: where the noun itself begins.
        end: where it ends.
        phrase: from ``offset`` to ``end``, as written.
    """

    offset: int
    start: int
    end: int
    phrase: str


@runtime_checkable
class Nouns(Protocol):
    """Finds the nouns of captions, in order and without overlap, one list a caption."""

    def __call__(self, captions: Sequence[str]) -> list[list[Noun]]: ...


#: Finders by name, each made from what stands behind the colon of a name such as "spacy:MODEL".
noun_finders: Registry[Callable[[str], Nouns]] = Registry(
    "finder of nouns", package="eval.xmai", variable="noun_finders"
)


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a word is to be inserted, and what was seen of the noun behind it."""

    noun: Noun
    seen: tuple[Detection, ...]


def rule_nouns(captions: Sequence[str]) -> list[list[Noun]]:
    """The last word of every noun phrase that closed word classes cut out; English only.

    A modifier goes after the determiner and the adjectives that are on a list.
    """
    return [[_head(caption, *phrase) for phrase in rule_phrases(caption)] for caption in captions]


class SpacyNouns:
    """Common and proper nouns by tag, with their compounds where the pipeline has a parser."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def __call__(self, captions: Sequence[str]) -> list[list[Noun]]:
        """See ``Nouns``."""
        found: dict[str, list[Noun]] = {}
        distinct = sorted(set(captions))
        for caption, document in zip(distinct, self._pipeline.pipe(distinct), strict=True):
            found[caption] = _nouns_of(caption, document)
        return [found[caption] for caption in captions]


def load_nouns(spec: str) -> Nouns:
    """The finder called ``spec``: "rules", "spacy:MODEL" (package or folder), or another.

    Raises:
        UnknownNameError: there is none.
        EvaluationError: spaCy or the model is missing, or has no tagger.
    """
    build, rest = named(spec, noun_finders)
    return build(rest)


@noun_finders.register("rules")
def _rules(_: str) -> Nouns:
    return rule_nouns


@noun_finders.register("spacy:")
def _spacy(model: str) -> Nouns:
    from eval.hub.loading import load_spacy

    pipeline = load_spacy(model)
    if not {"tagger", "morphologizer", "attribute_ruler"} & set(pipeline.pipe_names):
        raise EvaluationError(f"spaCy model '{model}' has no tagger; nouns need one")
    return SpacyNouns(pipeline)


class Matcher:
    """Finds the gaps of captions.

    Args:
        nouns: finds the nouns.
        mode: "direct" compares words, "sim" vectors, "mix" vectors where no word matches.
        similarity: of "sim" and "mix".
        threshold: of ``similarity``, -1 to 1.
    """

    def __init__(
        self,
        nouns: Nouns,
        *,
        mode: Mode = "mix",
        similarity: Similarity,
        threshold: float = THRESHOLD,
    ) -> None:
        self._nouns = nouns
        self._mode = mode
        self._similarity = similarity
        self._threshold = threshold

    def gaps(
        self, captions: Sequence[str], detections: Sequence[Sequence[Detection]]
    ) -> list[list[Gap]]:
        """The gaps of every caption, left to right; a noun that comes twice has one."""
        found = self._nouns(captions)
        return [
            self._gaps(_without_repeats(nouns), seen)
            for nouns, seen in zip(found, detections, strict=True)
        ]

    def _gaps(self, nouns: Sequence[Noun], seen: Sequence[Detection]) -> list[Gap]:
        if not nouns or not seen:
            return []
        direct = self._matched(nouns, seen, _is_named) if self._mode != "sim" else []
        if direct or self._mode == "direct":
            return direct
        names = sorted({detection.name for detection in seen})
        column = {name: i for i, name in enumerate(names)}
        cosines = self._similarity.matrix([_key(noun) for noun in nouns], names).round(5)
        rows = {noun: row for noun, row in zip(nouns, cosines, strict=True)}

        def is_near(noun: Noun, detection: Detection) -> bool:
            return bool(rows[noun][column[detection.name]] >= self._threshold)

        return self._matched(nouns, seen, is_near)

    @staticmethod
    def _matched(
        nouns: Sequence[Noun],
        seen: Sequence[Detection],
        fits: Callable[[Noun, Detection], bool],
    ) -> list[Gap]:
        gaps = [Gap(noun, tuple(one for one in seen if fits(noun, one))) for noun in nouns]
        return [gap for gap in gaps if gap.seen]


def singular(word: str) -> str:
    """A rough singular in lower case, the same for both forms of most nouns."""
    lower = word.lower()
    if lower in _IRREGULAR:
        return _IRREGULAR[lower]
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"),
                            ("xes", "x")):  # fmt: skip
        if lower.endswith(ending) and len(lower) > len(ending) + 1:
            return lower[: -len(ending)] + instead
    if lower.endswith("s") and not lower.endswith(("ss", "us", "is")) and len(lower) > 3:
        return lower[:-1]
    return lower


_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "feet": "foot",
    "teeth": "tooth", "mice": "mouse", "geese": "goose", "leaves": "leaf", "knives": "knife",
    "wolves": "wolf", "shelves": "shelf", "loaves": "loaf", "policemen": "policeman",
}  # fmt: skip


def _is_named(noun: Noun, detection: Detection) -> bool:
    """Whether the compound, or its last words, are the name."""
    words, name = _singulars(noun.phrase), _singulars(detection.name)
    return bool(name) and words[-len(name) :] == name


@lru_cache(maxsize=1 << 16)
def _singulars(phrase: str) -> tuple[str, ...]:
    return tuple(singular(word) for word in WORD.findall(phrase))


def _key(noun: Noun) -> str:
    return noun.phrase[noun.start - noun.offset :].lower()


def _without_repeats(nouns: Iterable[Noun]) -> list[Noun]:
    first: dict[str, Noun] = {}
    for noun in nouns:
        first.setdefault(noun.phrase.lower(), noun)
    return list(first.values())


def _head(caption: str, start: int, end: int) -> Noun:
    words = list(WORD.finditer(caption, start, end))
    first = 0
    while first < len(words) - 1 and _may_stand_before(words[first]):
        first += 1
    offset, head = words[first].start(), words[-1]
    return Noun(offset, head.start(), head.end(), caption[offset : head.end()])


def _may_stand_before(word: re.Match[str]) -> bool:
    text = word.group().lower()
    return text in _BEFORE_NOUN or text.isdecimal()


def _nouns_of(caption: str, document: Any) -> list[Noun]:
    nouns: list[Noun] = []
    taken = 0
    for token in document:
        if not _is_noun(token) or _is_compound(token):
            continue
        first = token.i
        while first > taken and _joins(document[first - 1], token):
            first -= 1
        taken = token.i + 1
        offset, end = document[first].idx, token.idx + len(token.text)
        nouns.append(Noun(offset, token.idx, end, caption[offset:end]))
    return nouns


def _is_noun(token: Any) -> bool:
    is_tagged = token.tag_.startswith("NN") or token.pos_ in ("NOUN", "PROPN")
    return is_tagged and any(c.isalpha() for c in token.text)


def _is_compound(token: Any) -> bool:
    """Part of a longer noun: by the parse, else by standing before another noun."""
    if token.i + 1 == len(token.doc):
        return False
    following = token.doc[token.i + 1]
    if following.text in ("-", "'s", "\u2019s"):
        return following.text == "-"
    return _is_noun(following) and following.text.lower() not in CONNECTIVES


def _joins(before: Any, noun: Any) -> bool:
    return _is_noun(before) or (before.text == "-" and before.i > 0 and noun.i > before.i)
