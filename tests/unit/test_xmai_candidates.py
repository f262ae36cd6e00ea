"""What may be inserted: articles, people, adjectives."""

from collections.abc import Sequence

import pytest

from eval.errors import EvaluationError
from eval.xmai.articles import fits_article, sounds_like_vowel
from eval.xmai.candidates import (
    ListedAdjectives,
    Rules,
    TaggedAdjectives,
    Tried,
    check_truth,
)
from eval.xmai.matching import Noun
from eval.xmai.people import PRESETS, load_blocked
from eval.xmai.placing import Draft
from eval.xmai.proposals import Context, Proposal
from tests.support.tiny_parser import tiny_parser


def _kept(before: str, phrase: str, words: Sequence[str], *, seen: Sequence[str] = ()) -> list[str]:
    rules = Rules(blocked=PRESETS["people"], adjectives=ListedAdjectives(), at_most=12)
    context = Context(before, phrase, frozenset(), dict.fromkeys(seen, 1.0), False)
    noun = Noun(len(before), len(before), len(before) + len(phrase), phrase)
    draft = Draft(before + phrase, (), noun)
    proposals = [Proposal(word, 0.1) for word in words]
    return [one.word for one in rules.kept([context], [draft], [proposals])[0]]


@pytest.mark.parametrize("before", ["a ", "A ", 'he saw "a '])
def test_after_a_only_consonant_sounds(before: str) -> None:
    assert _kept(before, "chair", ["orange", "red", "old", "wooden"]) == ["red", "wooden"]


def test_after_an_only_vowel_sounds() -> None:
    assert _kept("sat on an ", "apple", ["orange", "red", "old"]) == ["orange", "old"]


def test_other_words_before_leave_everything() -> None:
    assert fits_article("two ", "old")
    assert fits_article("", "old")
    assert fits_article("a big ", "old")
    assert fits_article("vitamin-a, ", "red")  # a letter, not an article; red suits both


@pytest.mark.parametrize(
    ("word", "vowel"),
    [("old", True), ("red", False), ("honest", True), ("hour", True), ("huge", False),
     ("useful", False), ("ugly", True), ("united", False), ("unusual", True), ("one", False),
     ("European", False), ("upper", True), ("yellow", False), ("uniform", False)],
)  # fmt: skip
def test_sound_of_first_letters(word: str, vowel: bool) -> None:
    assert sounds_like_vowel(word) == vowel


@pytest.mark.parametrize("noun", ["man", "Women", "police officer", "woman's hat", "crowd"])
@pytest.mark.parametrize(
    "word", ["white", "black", "brown", "asian", "muslim", "german", "dark skin tone"]
)
def test_no_word_of_race_before_people_even_if_detected(noun: str, word: str) -> None:
    assert _kept("the ", noun, [word, "tall"], seen=[word]) == ["tall"]


def test_colours_are_fine_before_things() -> None:
    assert _kept("the ", "shirt", ["white", "black"]) == ["white", "black"]


def test_only_adjectives_or_what_was_seen() -> None:
    words = ["table", "red", "walf", "stainless"]
    assert _kept("the ", "chair", words) == ["red"]
    assert _kept("the ", "chair", words, seen=["stainless"]) == ["red", "stainless"]


def test_tagger_judges_the_word_in_its_sentence() -> None:
    check = TaggedAdjectives(tiny_parser())
    sentence = "a red house"
    assert check([Tried(sentence, 2, 5), Tried(sentence, 6, 11), Tried(sentence, 3, 5)]) == [
        True,
        False,
        False,
    ]


def test_blocked_words_by_name_and_file(tmp_path) -> None:
    own = tmp_path / "blocked.txt"
    own.write_text("Shabby\n\nold \n")
    assert load_blocked(str(own)) == {"shabby", "old"}
    assert load_blocked("none") == frozenset()
    assert "white" in load_blocked("people")
    assert "dark skin tone" not in load_blocked("race-words")
    with pytest.raises(EvaluationError, match="no list of blocked words"):
        load_blocked(str(tmp_path / "missing"))


def test_truth_clip_needs_something_that_looks() -> None:
    assert check_truth("detected", has_tagger=False) == "detected"
    with pytest.raises(EvaluationError, match="--tagger"):
        check_truth("clip", has_tagger=False)
    with pytest.raises(EvaluationError, match="unknown truth"):
        check_truth("maybe", has_tagger=True)
