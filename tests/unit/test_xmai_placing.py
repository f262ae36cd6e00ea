"""Where a word goes before a noun, in sentences as captions have them."""

import pytest

from eval.xmai.matching import nouns_in
from eval.xmai.placing import Draft
from eval.xmai.records import Insertion
from eval.xmai.rule_nouns import rule_nouns
from eval.xmai.spacy_nouns import SpacyNouns
from tests.support.tiny_parser import tiny_parser


def _draft(caption: str, noun: str) -> Draft:
    found = nouns_in([caption], rule_nouns)[0]
    return Draft(caption, (), next(one for one in found if one.phrase.lower().endswith(noun)))


def _sentence(caption: str, noun: str, word: str) -> str | None:
    fit = _draft(caption, noun).fit(word)
    return fit.sentence if fit else None


@pytest.mark.parametrize(
    ("caption", "noun", "word", "expected"),
    [
        ("a red wagon", "wagon", "large", "a large red wagon"),
        ("a red wagon", "wagon", "wooden", "a red wooden wagon"),
        ("a large red wagon", "wagon", "dirty", "a large dirty red wagon"),
        ("the small wooden chair", "chair", "old", "the small old wooden chair"),
        ("two police officers", "officers", "young", "two young police officers"),
        ("his bright red car", "car", "small", "his small bright red car"),
        ("the red and white car", "car", "old", "the old red and white car"),
        ("the red and white car", "car", "metal", "the red and white metal car"),
        ("the big, red car", "car", "wooden", "the big, red wooden car"),
        ("the very old clock", "clock", "large", "the large very old clock"),
        ("the 3 year old boy", "boy", "tall", "the tall 3 year old boy"),
        ("the larger boat", "boat", "red", "the larger red boat"),
        ("the light-brown horse", "horse", "big", "the big light-brown horse"),
        ("the heart shaped balloon", "balloon", "red", "the red heart shaped balloon"),
        ("the woman's hat", "hat", "red", "the woman's red hat"),
        ("a four lane road", "road", "wet", "a wet four lane road"),
        ("the baby in the high chair", "chair", "red", "the baby in the red high chair"),
        ("A RED WAGON", "wagon", "wooden", "A RED WOODEN WAGON"),
        (
            "Small Dogs Sitting In The Street",
            "dogs",
            "black",
            "Small Black Dogs Sitting In The Street",
        ),
    ],
)
def test_goes_where_english_has_it(caption: str, noun: str, word: str, expected: str) -> None:
    assert _sentence(caption, noun, word) == expected


@pytest.mark.parametrize(
    ("caption", "noun", "word"),
    [
        ("the white car", "car", "red"),  # two colours
        ("the small dog", "dog", "large"),
        ("the big, red car", "car", "dirty"),  # between the two of a list
        ("the zorpous blurgh red car", "car", "large"),  # beside a word of no known kind
        ("a stone stove in a kitchen", "kitchen", "stone"),  # once a caption
        ("a wood floor and the table", "table", "wooden"),
        ("the gray cat and the dog", "dog", "grey"),
        ("a large dog", "dog", "orange"),  # a colour goes behind "large", and would if it could
        ("a red car", "car", "old"),  # needs "an"
        ("the car is blue", "car", "red"),
        ("a table made of metal", "table", "wooden"),
        ("the colored wall", "wall", "red"),
        ("the old car", "car", "pretty"),  # read as an adverb
        ("the square table", "table", "old"),  # sources differ
    ],
)
def test_no_place(caption: str, noun: str, word: str) -> None:
    if word == "orange":
        assert _sentence(caption, noun, word) == "a large orange dog"
    else:
        assert _sentence(caption, noun, word) is None


def test_inserted_words_count_as_used() -> None:
    draft = _draft("the cat and the dog", "dog")
    one = Insertion(offset=4, text="red ", word="red", noun="cat", noun_offset=4)
    after = draft._replace(insertions=(one,))
    assert draft.fit("red") is not None
    assert after.fit("red") is None
    fit = after.fit("small")
    assert fit is not None
    assert fit.sentence == "the red cat and the small dog"


@pytest.mark.parametrize(
    ("caption", "phrase", "units"),
    [
        ("a red-old house", "house", ["red-old"]),
        ("a big red and old wooden chair", "chair", ["big", "red and old", "wooden"]),
        ("dog and red cat-house", "cat-house", ["red"]),
        ("red chair", "chair", ["red"]),
    ],
)
def test_spacy_units(caption: str, phrase: str, units: list[str]) -> None:
    noun = SpacyNouns(tiny_parser())([caption])[0][-1]
    assert noun.phrase == phrase
    assert [caption[one.start : one.end] for one in noun.modifiers or ()] == units
