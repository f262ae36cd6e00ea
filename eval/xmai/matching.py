"""Which nouns of a caption are in the picture, by character: "direct", "sim" or "mix".

The three modes and the threshold are published (arXiv 2306.11065, section 3 and its code).
Departures: names are compared without regard to case and number, the first word and a noun before
a full stop can match, a compound ("police officer") is one noun, and what a caption denies ("no
toilets") is not in the picture.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

from data_pipelines.component_names import named
from data_pipelines.noise.phrases import CONNECTIVES, WORD, rule_phrases
from data_pipelines.registry import Registry
from data_pipelines.spacy_models import SpacyModelError, check_parts
from eval.errors import EvaluationError
from eval.hub.similarity import Similarity
from eval.xmai.adjective_order import Kind, known_kind
from eval.xmai.detections import Detection
from eval.xmai.fixed_pairs import is_fixed
from eval.xmai.letter_case import in_plain_case
from eval.xmai.modifiers import Modifier, Role, is_limiting, listed_role, modifiers_before
from eval.xmai.open_nouns import may_be_modified
from eval.xmai.specs import Mode

#: Cosine from which two nouns count as the same thing (published).
THRESHOLD = 0.7

_TAGGERS = ("tagger", "morphologizer", "attribute_ruler")
_ADJECTIVE_TAGS = ("JJ", "ADJ")
_PARTICIPLE_TAGS = ("VBN", "VBG", "VBD")
_BORDER = re.compile(r"[\s,;:.!?()\[\]{}\"\u201c\u201d\u2018\u2014\u2013]")
_OPENS_PHRASE = ("DT", "PRP$", "CD", "POS", "PDT", "WP$")


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


def rule_nouns(captions: Sequence[str]) -> list[list[Noun]]:
    """The last word of every noun phrase that closed word classes cut out; English only.

    Words of the phrase that are on no list are its compound; adjectives before it are modifiers.
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
    try:
        check_parts(pipeline, model, any_of=_TAGGERS, purpose="nouns")
    except SpacyModelError as error:
        raise EvaluationError(str(error)) from error
    return SpacyNouns(pipeline)


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


def _head(caption: str, start: int, end: int) -> Noun:
    words = list(WORD.finditer(caption, start, end))
    first = len(words) - 1
    while first > 0 and not _ends_compound(words[first - 1].group().lower()):
        first -= 1
    offset, head = words[first].start(), words[-1]

    def role_of(left: int, right: int) -> Role:
        role = listed_role(caption, left, right)
        is_within = left >= start and not is_limiting(caption[left:right].lower())
        is_own = "'" in caption[left:right] or "\u2019" in caption[left:right]
        return "adjective" if role == "limit" and is_within and not is_own else role

    modifiers = modifiers_before(caption, offset, role_of)
    return Noun(offset, head.start(), head.end(), caption[offset : head.end()], modifiers)


def _ends_compound(word: str) -> bool:
    """Whether a word is no part of a compound that goes on to its right."""
    return is_limiting(word) or known_kind(word) is not None or word.endswith(("'s", "\u2019s"))


def _nouns_of(caption: str, document: Any) -> list[Noun]:
    nouns: list[Noun] = []
    role_of = _roles(document)
    taken = 0
    for token in document:
        if not _is_noun(token) or _is_compound(token):
            continue
        first = token.i
        while first > taken and _joins(document[first - 1], token):
            first -= 1
        while first < token.i and _is_plain_adjective(document[first].text):
            first += 1
        taken = token.i + 1
        offset, end = _word_start(caption, document[first].idx), token.idx + len(token.text)
        modifiers = modifiers_before(caption, offset, role_of)
        nouns.append(Noun(offset, token.idx, end, caption[offset:end], modifiers))
    return nouns


def _word_start(caption: str, offset: int) -> int:
    """Where the word begins that goes on at ``offset``: "light-brown", "cat/dog"."""
    while 0 < offset < len(caption) and not _BORDER.match(caption, offset - 1):
        offset -= 1
    return offset


def _roles(document: Any) -> Callable[[int, int], Role]:
    """What words do before a noun, by the tags of their last token."""
    token_at = {token.idx: token for token in document}

    def role_of(start: int, end: int) -> Role:
        inside = [token_at[i] for i in range(start, end) if i in token_at]
        named = [token for token in inside if token.text[0].isalnum()]
        return _role(document.text[start:end].lower(), named[-1]) if named else "limit"

    return role_of


def _role(word: str, token: Any) -> Role:
    is_adjective = token.tag_.startswith(_ADJECTIVE_TAGS) or token.pos_ == "ADJ"
    if token.tag_ == "POS" or word.endswith(("'s", "\u2019s")) or is_limiting(word):
        return "adverb" if token.tag_ in ("RBS", "RBR") else "limit"
    if is_adjective or _is_plain_adjective(word) or ("-" in word and not _is_noun(token)):
        return "adjective"
    if token.tag_ in _PARTICIPLE_TAGS and _is_before_noun(token):
        return "adjective"
    return "adverb" if token.pos_ == "ADV" or token.tag_.startswith("RB") else "limit"


def _is_before_noun(participle: Any) -> bool:
    """Whether a participle is no verb: by the parse, or by what stands before it.

    After a preposition ("of worn boots") a past participle is none; one in "-ing" may be.
    """
    if participle.dep_ == "amod":
        return True
    before = participle.doc[participle.i - 1].tag_ if participle.i else ""
    if before.startswith(_OPENS_PHRASE + _ADJECTIVE_TAGS):
        return True
    is_state = participle.tag_ != "VBG" or known_kind(participle.text) is not None
    return is_state and before in ("", "IN")


def _is_plain_adjective(word: str) -> bool:
    """Words that are hardly ever nouns in a compound, whatever a tagger takes them for."""
    kind = known_kind(word)
    if kind is None or word.lower() in ("orange", "rose", "baby", "square", "cream", "peach"):
        return False
    return kind.last <= Kind.COLOUR


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
