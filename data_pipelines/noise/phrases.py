"""Noun phrases of captions: the protocol, rules that need no model, and spaCy where installed.

The rules are our own: caption English is simple enough for closed word classes to cut it. Words
before the next determiner, preposition, conjunction, pronoun, verb of the list or punctuation
mark make a phrase. They take adverbs and unlisted verbs for parts of a phrase, and captions in
other languages for one phrase between two punctuation marks.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from data_pipelines.component_names import named
from data_pipelines.registry import Registry
from data_pipelines.spacy_models import check_parts, load_pipeline


class Phrase(NamedTuple):
    """A noun phrase as characters of its caption, ``end`` exclusive."""

    start: int
    end: int


@runtime_checkable
class NounPhrases(Protocol):
    """Finds the noun phrases of a caption, in order and without overlap."""

    def __call__(self, caption: str) -> list[Phrase]: ...


#: Finders by name, each made from what stands behind the colon of a name such as "spacy:MODEL".
phrase_finders: Registry[Callable[[str], NounPhrases]] = Registry(
    "finder of noun phrases", package="data_pipelines.noise", variable="phrase_finders"
)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DETERMINERS = _words(
    "a an the this these those his her its their our my your some any each every another"
)

#: Prepositions and conjunctions: they fall together with the phrase they introduce.
CONNECTIVES = _words(
    """about above across after against along among and around as at before behind below beneath
    beside besides between beyond but by down during for from front in inside into like near next
    of off on onto opposite or out outside over past per plus through to toward towards under
    underneath until up upon via while with within without"""
)

_OTHERS = _words(
    """he she it they we i you him them us who whom which that where when there here what is are
    was were be been being am has have had having do does did can could will would may might not
    also very just then while wears wore sits sat stands stood holds held walks walked rides rode
    carries carried plays looks shows shown seen made makes used taken eats runs"""
)

#: Verbs where a sentence goes on, but part of a phrase that they open: "a smiling man".
_PARTICIPLES = _words(
    """wearing worn sitting standing holding walking riding carrying playing looking showing making
    using dressed facing filled covered taking eating running lying leaning talking hanging parked
    flying swimming sleeping pointing smiling"""
)

FUNCTION_WORDS = DETERMINERS | CONNECTIVES | _OTHERS | _PARTICIPLES

#: Before "of" these only say that there is a picture: "a photo of a cat" has one phrase.
_MEDIA = _words(
    """photo photograph picture image drawing painting sketch illustration icon emoji clipart
    rendering view shot close-up symbol sign"""
)

_NOUNS_IN_ING = _words(
    """awning building ceiling clothing drawing dressing earring evening king lightning lining
    morning painting pudding railing ring sling spring string swing thing wedding wing"""
)

WORD = re.compile(r"[^\W_]+(?:['\u2019\-&.][^\W_]+)*")
_TOKEN = re.compile(rf"{WORD.pattern}|[^\w\s]|_+")


def rule_phrases(caption: str) -> list[Phrase]:
    """Noun phrases by closed word classes; see the module for the rules and their limits."""
    tokens = list(_TOKEN.finditer(caption))
    words = [token.group().lower() for token in tokens]
    phrases: list[Phrase] = []
    first: int | None = None  # token that the open phrase starts with
    num_content = 0
    for i in range(len(tokens) + 1):
        begins = i < len(tokens) and words[i] in DETERMINERS
        if begins or i == len(tokens) or _separates(words, i, has_content=num_content > 0):
            if first is not None and num_content and not _is_medium(words, i):
                phrases.append(Phrase(tokens[first].start(), tokens[i - 1].end()))
            first, num_content = (i, 0) if begins else (None, 0)
        else:
            first, num_content = (i if first is None else first), num_content + 1
    return phrases


class SpacyPhrases:
    """Noun chunks of a spaCy pipeline with a parser: ``SpacyPhrases(spacy.load("..."))``."""

    def __init__(self, pipeline: Callable[[str], Any]) -> None:
        self._pipeline = pipeline

    def __call__(self, caption: str) -> list[Phrase]:
        chunks = self._pipeline(caption).noun_chunks
        return [Phrase(chunk.start_char, chunk.end_char) for chunk in chunks]


def load_phrases(name: str) -> NounPhrases:
    """The finder called ``name``: "rules", "spacy:MODEL" for an installed spaCy model, or another.

    Raises:
        UnknownNameError: there is none.
        DataError: spaCy or the model is not installed, or it has no parser.
    """
    build, rest = named(name, phrase_finders)
    return build(rest)


@phrase_finders.register("rules")
def _rules(_: str) -> NounPhrases:
    return rule_phrases


@phrase_finders.register("spacy:")
def _spacy(model: str) -> NounPhrases:
    pipeline = load_pipeline(model)
    check_parts(pipeline, model, any_of=("parser",), purpose="noun phrases")
    return SpacyPhrases(pipeline)


def content_words(text: str) -> list[str]:
    """Words that are no function words, in lower case."""
    words = (match.group().lower() for match in WORD.finditer(text))
    return [word for word in words if word not in FUNCTION_WORDS]


def says_something(text: str) -> bool:
    """Whether a text has a content word besides "photo", "emoji" and the like."""
    return any(word not in _MEDIA for word in content_words(text))


def _separates(words: list[str], i: int, *, has_content: bool) -> bool:
    """Whether word ``i`` ends a phrase without being part of one."""
    word = words[i]
    if not WORD.fullmatch(word) or word in CONNECTIVES or word in _OTHERS:
        return True
    following = words[i + 1] if i + 1 < len(words) else ""
    is_last = following in FUNCTION_WORDS or not WORD.fullmatch(following)
    if word in _PARTICIPLES:
        may_open = i == 0 or words[i - 1] in DETERMINERS or words[i - 1] == "of"
        return is_last or not may_open
    # "a dog barking at ..." against "a barking dog": a participle that ends its phrase is a verb.
    return has_content and is_last and word.endswith("ing") and word not in _NOUNS_IN_ING


def _is_medium(words: list[str], end: int) -> bool:
    return words[end - 1] in _MEDIA and end < len(words) and words[end] == "of"
