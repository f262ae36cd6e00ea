"""Which nouns of a caption are in the picture, by character: "direct", "sim" or "mix".

The three modes and the threshold are published (arXiv 2306.11065, section 3 and its code).
Departures: names are compared without regard to case and number, the first word and a noun before
a full stop can match, a compound ("police officer") is one noun, and what a caption denies ("no
toilets") is not in the picture.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol, runtime_checkable

from data_pipelines.component_names import named
from data_pipelines.noise.phrases import WORD
from data_pipelines.registry import Registry
from eval.hub.similarity import Similarity
from eval.xmai.detections import Detection
from eval.xmai.fixed_pairs import is_fixed, start_of_measure
from eval.xmai.letter_case import in_plain_case
from eval.xmai.modifiers import Modifier, listed_role, modifiers_before
from eval.xmai.open_nouns import may_be_modified
from eval.xmai.specs import Mode

#: Cosine from which two nouns count as the same thing (published).
THRESHOLD = 0.7


class Noun(NamedTuple):
    """A noun as characters of its caption.

    Attributes:
        offset: where the noun begins with the compound that it ends.
        start: where the noun itself begins.
        end: where it ends.
        phrase: from ``offset`` to ``end``, as written.
        modifiers: the adjectives before ``offset``, left to right; None: nobody has looked.
    """

    offset: int
    start: int
    end: int
    phrase: str
    modifiers: tuple[Modifier, ...] | None = None


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


def load_nouns(spec: str) -> Nouns:
    """The finder called ``spec``: "rules", "spacy:MODEL" (package or folder), or another.

    Raises:
        UnknownNameError: there is none.
        EvaluationError: spaCy or the model is missing, or has no tagger.
    """
    build, rest = named(spec, noun_finders)
    return build(rest)


def nouns_in(captions: Sequence[str], finder: Nouns) -> list[list[Noun]]:
    """The nouns of captions that are there and can take an adjective, with their modifiers.

    Captions in capitals are read in lower case. Left out are denied nouns, pronouns, names without
    a determiner, and nouns that are part of another's modifier ("heart shaped").
    """
    found = finder([in_plain_case(caption) for caption in captions])
    return [
        _usable(caption, [_read(caption, noun) for noun in own])
        for caption, own in zip(captions, found, strict=True)
    ]


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
        found = nouns_in(captions, self._nouns)
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


def _read(caption: str, noun: Noun) -> Noun:
    """As the caption writes it, and with modifiers by word lists where its finder gave none.

    An adjective that makes a compound with the noun ("high chair") becomes part of it.
    """
    modifiers, offset = noun.modifiers, noun.offset
    if modifiers is None:
        modifiers = modifiers_before(
            caption, offset, lambda start, end: listed_role(caption, start, end)
        )
    while modifiers and is_fixed(caption[modifiers[-1].start : noun.end]):
        offset, modifiers = modifiers[-1].start, modifiers[:-1]
    if not modifiers:
        offset = start_of_measure(caption, offset, noun.start, noun.end)
    return noun._replace(offset=offset, phrase=caption[offset : noun.end], modifiers=modifiers)


def _usable(caption: str, nouns: Sequence[Noun]) -> list[Noun]:
    units = [unit for noun in nouns for unit in noun.modifiers or ()]
    return [
        noun
        for noun in nouns
        if not any(unit.start <= noun.start < unit.end for unit in units)
        and may_be_modified(
            caption,
            noun.modifiers[0].start if noun.modifiers else noun.offset,
            noun.start,
            noun.end,
        )
    ]
