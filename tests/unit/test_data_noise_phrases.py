"""Noun phrases by rules, and the three ways to damage a caption."""

import sys

import pytest

from data_pipelines.errors import DataError, UnknownNameError
from data_pipelines.noise.partial import delete_phrases, swap_phrase, truncate
from data_pipelines.noise.phrases import SpacyPhrases, load_phrases, rule_phrases


def _first(name, below):
    return 0


def _phrases(caption):
    return [caption[phrase.start : phrase.end] for phrase in rule_phrases(caption)]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man in a red hat rides a horse.", ["A man", "a red hat", "a horse"]),
        ("a dog running through the grass", ["a dog", "the grass"]),
        ("a dog barking at a running man", ["a dog", "a running man"]),
        ("a barking dog", ["a barking dog"]),
        ("a picture of smiling face wearing glasses", ["smiling face", "glasses"]),
        ("the old building, its roof", ["the old building", "its roof"]),
        ("grinning face", ["grinning face"]),
        ("a photo of a cat", ["a cat"]),
        ("photo", ["photo"]),
        ("Two children are next to a big ball", ["Two children", "a big ball"]),
        ("with and of the", []),
        ("  ,.! ", []),
        ("", []),
        # The example that CUHK-PEDES' repository gives of its captions, cut by hand.
        (
            "A woman is wearing a gray shirt, a pair of brown pants and a pair of shoes.",
            ["A woman", "a gray shirt", "a pair", "brown pants", "a pair", "shoes"],
        ),
    ],
)
def test_rules_cut_captions_as_a_reader_would(caption, expected):
    assert _phrases(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a dog on a mat", "a mat"),
        ("A man in a red hat, on a horse.", "a horse."),
        ("a photo of a small red bus", "a photo of a bus"),
        ("grinning face", "face"),
        ("the cat", None),
        ("an emoji of hamster", None),
        ("cat", None),
        ("with", None),
    ],
)
def test_half_of_the_phrases_go(caption, expected):
    """``_first`` draws the same number for all, so the first phrases of a caption go."""
    assert delete_phrases(caption, rule_phrases, _first) == expected


def test_the_drawn_phrase_goes_with_its_preposition():
    def last(name, below):
        return -int(name.split()[1])

    assert delete_phrases("a dog on top of a mat", rule_phrases, last) == "a dog"
    assert delete_phrases("a dog next to a mat.", rule_phrases, last) == "a dog."


def test_truncate_keeps_four_words():
    assert truncate("a big, red, round ball") == "a big, red, round"
    assert truncate("one two three four, five") == "one two three four"
    assert truncate("one two three four") is None


def test_swap_takes_a_phrase_that_is_new_to_the_image():
    caption, own = "a dog on a mat", ["a dog on a mat", "the red ball"]
    others = ["a dog", "a red ball in the box", "the sea"]
    swapped = swap_phrase(caption, others, rule_phrases, _first, own=own)
    assert swapped == "the box on a mat"
    assert swap_phrase(caption, ["a dog", "mat"], rule_phrases, _first, own=own) is None
    assert swap_phrase("small dog", ["a cat"], rule_phrases, _first, own=["small dog"]) is None
    assert swap_phrase("of", ["a cat"], rule_phrases, _first, own=["of"]) is None


def test_missing_spacy_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(DataError, match="needs the package spacy"):
        load_phrases("spacy:en_core_web_sm")
    with pytest.raises(UnknownNameError, match="'nltk'; known: rules, spacy:"):
        load_phrases("nltk")
    assert load_phrases("rules") is rule_phrases


def test_spacy_noun_chunks_become_phrases():
    spacy = pytest.importorskip("spacy", reason="extra 'phrases' is not installed")
    from spacy.tokens import Doc

    words = ["a", "red", "hat", "on", "him"]
    vocab = spacy.blank("en").vocab
    doc = Doc(
        vocab,
        words=words,
        pos=["DET", "ADJ", "NOUN", "ADP", "PRON"],
        heads=[2, 2, 2, 2, 3],
        deps=["det", "amod", "ROOT", "prep", "pobj"],
    )
    assert SpacyPhrases(lambda caption: doc)("a red hat on him") == [(0, 9), (13, 16)]
