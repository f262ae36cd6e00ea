"""A spaCy pipeline that tags by a table of words: no model, no training."""

from functools import cache
from typing import Any

import pytest

_TAGS = (
    ("officer police dog chair shirt woman hat man house t apple kitchen pizzas", "NN", "NOUN"),
    ("red old wooden small big orange honest", "JJ", "ADJ"),
)


@cache
def tiny_parser() -> Any:
    """Nouns and adjectives of short lists, all other words "X"; skips without spaCy."""
    spacy = pytest.importorskip("spacy", reason="needs the extra xmai")
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe("attribute_ruler")
    ruler.add([[{"IS_ASCII": True}]], {"TAG": "X", "POS": "X"})
    for words, tag, pos in _TAGS:
        ruler.add([[{"LOWER": {"IN": words.split()}}]], {"TAG": tag, "POS": pos})
    return pipeline
