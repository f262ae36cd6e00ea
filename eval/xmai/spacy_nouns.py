"""Nouns of captions by the tags of a spaCy pipeline, with what stands before them."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from data_pipelines.noise.phrases import CONNECTIVES
from data_pipelines.spacy_models import SpacyModelError, check_parts
from eval.errors import EvaluationError
from eval.xmai.adjective_order import Kind, known_kind
from eval.xmai.matching import Noun, Nouns, noun_finders
from eval.xmai.modifiers import Role, is_limiting, modifiers_before

_TAGGERS = ("tagger", "morphologizer", "attribute_ruler")
_ADJECTIVE_TAGS = ("JJ", "ADJ")
_PARTICIPLE_TAGS = ("VBN", "VBG", "VBD")
_LINKS = ("and", "or", "&", ",")
_BORDER = re.compile(r"[\s,;:.!?()\[\]{}\"\u201c\u201d\u2018\u2014\u2013]")
_OPENS_PHRASE = ("DT", "PRP$", "CD", "POS", "PDT", "WP$")


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


@noun_finders.register("spacy:")
def _spacy(model: str) -> Nouns:
    from eval.hub.loading import load_spacy

    pipeline = load_spacy(model)
    try:
        check_parts(pipeline, model, any_of=_TAGGERS, purpose="nouns")
    except SpacyModelError as error:
        raise EvaluationError(str(error)) from error
    return SpacyNouns(pipeline)


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
        while first < token.i and _is_adjective_in_compound(document[first]):
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
    if token.tag_ == "POS" or word.endswith(("'s", "\u2019s")) or is_limiting(word):
        return "adverb" if token.tag_ in ("RBS", "RBR") else "limit"
    if _is_adjective(token) or ("-" in word and not _is_noun(token)):
        return "adjective"
    following = token.nbor() if token.i + 1 < len(token.doc) else None
    if known_kind(word) and following is not None and _goes_on(following):
        return "adjective"
    if token.tag_ in _PARTICIPLE_TAGS and _is_before_noun(token):
        return "adjective"
    return "adverb" if token.pos_ == "ADV" or token.tag_.startswith("RB") else "limit"


def _goes_on(token: Any) -> bool:
    return _is_noun(token) or token.lower_ in _LINKS


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


def _is_adjective_in_compound(token: Any) -> bool:
    """What a tagger takes for a noun in a compound: "red", "silver" in "blue and silver"."""
    if _is_plain_adjective(token.text):
        return True
    is_joined = token.i > 1 and token.doc[token.i - 1].lower_ in _LINKS
    before = token.doc[token.i - 2] if is_joined else None
    return before is not None and known_kind(token.text) is not None and _is_adjective(before)


def _is_adjective(token: Any) -> bool:
    is_tagged = token.tag_.startswith(_ADJECTIVE_TAGS) or token.pos_ == "ADJ"
    return is_tagged or _is_plain_adjective(token.text)


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
