"""Nouns by rules and by spaCy, and the three modes of matching."""

import pytest

from data_pipelines.errors import UnknownNameError
from eval.errors import EvaluationError
from eval.hub.similarity import load_similarity
from eval.xmai.matching import Matcher, load_nouns, singular
from eval.xmai.rule_nouns import rule_nouns
from eval.xmai.spacy_nouns import SpacyNouns
from tests.support.insertion_fakes import seen
from tests.support.tiny_parser import tiny_parser


def _matcher(**settings) -> Matcher:
    return Matcher(rule_nouns, similarity=load_similarity("characters"), **settings)


def _found(matcher: Matcher, caption: str, *names: str) -> list[str]:
    detections = [one for name in names for one in seen(name, "red")]
    return [gap.noun.phrase for gap in matcher.gaps([caption], [detections])[0]]


def test_rules_put_modifiers_behind_determiner_and_adjectives() -> None:
    caption = "An old wooden chair stands on two office desks."
    nouns = rule_nouns([caption])[0]
    assert [noun.phrase for noun in nouns] == ["chair", "office desks"]
    assert [caption[: noun.offset] for noun in nouns] == [
        "An old wooden ",
        "An old wooden chair stands on two ",
    ]
    assert caption[nouns[1].start : nouns[1].end] == "desks"


def test_direct_finds_first_word_plural_and_word_before_a_full_stop() -> None:
    # none of the three can match upstream
    matcher = _matcher(mode="direct")
    assert _found(matcher, "Pizzas beside a man.", "pizza", "man") == ["Pizzas", "man"]


def test_direct_matches_compounds_by_their_end() -> None:
    matcher = _matcher(mode="direct")
    assert _found(matcher, "a police officer", "officer") == ["police officer"]
    assert _found(matcher, "a police officer", "police officer") == ["police officer"]
    assert _found(matcher, "a police officer", "police") == []
    assert _found(matcher, "a goalie", "goal") == []


def test_mix_compares_vectors_only_where_no_word_matches() -> None:
    names = ("doggy", "cat")
    assert _found(_matcher(mode="sim", threshold=0.6), "a dogg and a cat", *names) == [
        "dogg",
        "cat",
    ]
    assert _found(_matcher(mode="mix", threshold=0.6), "a dogg and a cat", *names) == ["cat"]
    assert _found(_matcher(mode="mix", threshold=0.6), "a dogg", *names) == ["dogg"]


def test_gap_carries_every_detection_of_its_noun() -> None:
    detections = [*seen("dog", "brown"), *seen("cat", "white"), *seen("dogs", "wet")]
    gap = _matcher().gaps(["a dog"], [detections])[0][0]
    assert [one.attribute for one in gap.seen] == ["brown", "wet"]


def test_a_noun_that_comes_twice_has_one_gap() -> None:
    assert _found(_matcher(), "a dog beside a dog", "dog") == ["dog"]


def test_nothing_seen_or_nothing_said() -> None:
    assert _matcher().gaps(["a dog", ""], [[], seen("dog", "red")]) == [[], []]


@pytest.mark.parametrize(
    ("plural", "one"),
    [("women", "woman"), ("glasses", "glass"), ("buses", "buse"), ("bus", "bus"), ("Boxes", "box"),
     ("berries", "berry"), ("grass", "grass"), ("dogs", "dog")],
)  # fmt: skip
def test_singular(plural: str, one: str) -> None:
    assert singular(plural) == one


def test_spacy_offsets_fit_the_caption() -> None:
    caption = "A  red police officer (in a t-shirt) holds the woman's hat."
    nouns = SpacyNouns(tiny_parser())([caption])[0]
    phrases = [noun.phrase for noun in nouns]
    assert phrases[0] == "police officer"
    assert "hat" in phrases
    assert "woman" in phrases
    for noun in nouns:
        assert caption[noun.offset : noun.end] == noun.phrase


def test_spacy_gives_the_same_for_any_batch() -> None:
    finder = SpacyNouns(tiny_parser())
    captions = ["a dog", "the police officer", "a dog", ""]
    assert finder(captions) == [finder([caption])[0] for caption in captions]


def test_missing_models_are_one_line() -> None:
    with pytest.raises(EvaluationError, match="choose rules"):
        load_nouns("spacy:no_such_model_here")
    with pytest.raises(UnknownNameError, match="'nltk'; known: rules, spacy:"):
        load_nouns("nltk")
