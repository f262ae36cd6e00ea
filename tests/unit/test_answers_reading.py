"""Answers read from what models write: sets written blind, a grammar, options of every kind."""

import json
import re
import time
from collections import Counter

import pytest

from eval.answers.reading import chosen_option
from tests.support.answer_cases import (
    MEN,
    WRITTEN_AFTER,
    WRITTEN_BLIND,
    WRITTEN_LAST,
    WRITTEN_LATER,
)
from tests.support.answer_grammar import LETTERS, made_answers
from tests.support.shards import SHARED_DATA

_SHARED_CASES = SHARED_DATA.parent / "cases" / "answer_parsing.json"


def _letter(number: int | None) -> str | None:
    return None if number is None else LETTERS[number]


@pytest.mark.parametrize(
    "cases",
    [WRITTEN_BLIND, WRITTEN_LATER, WRITTEN_LAST, WRITTEN_AFTER],
    ids=["first", "second", "third", "fourth"],
)
def test_no_wrong_option_in_what_was_written_blind(cases):
    read = [
        (text, _letter(chosen_option(text, options)), letter) for text, options, letter in cases
    ]
    assert [one for one in read if one[1] not in (None, one[2])] == []
    assert sum(found == letter for _, found, letter in read) >= 0.99 * len(read)


def test_no_wrong_option_in_a_grammar_of_phrases():
    made = list(made_answers())
    read = [(one.text, _letter(chosen_option(one.text, MEN)), one.letter) for one in made]
    assert [one for one in read if one[1] not in (None, one[2])] == []
    assert sum(found == letter for _, found, letter in read) >= 0.99 * len(read)
    assert min(Counter(one.is_held for one in made).values()) > 400


@pytest.mark.skipif(not _SHARED_CASES.is_file(), reason=f"needs {_SHARED_CASES}")
def test_the_shared_cases():
    cases = json.loads(_SHARED_CASES.read_text(encoding="utf-8"))
    read = [(chosen_option(case["response"], case["options"]), case["gold"]) for case in cases]
    assert all(found in (None, gold) for found, gold in read)
    assert sum(found == gold for found, gold in read) >= 0.95 * len(cases)


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("A", ("C#", "A"), None),  # the first one's letter, the second one's text
        ("B", ("A", "B", "C"), 1),
        ("C", ("B", "C"), 1),
        ("(A) C#", ("C#", "A"), 0),
        ("Same", ("Same", "Same"), None),
        ("10", ("10", "1.0", "1,0", "100"), 0),
        ("1.0", ("10", "1.0", "1,0", "100"), 1),
        ("It is 1,0.", ("10", "1.0", "1,0", "100"), 2),
        ("F", tuple("pqrstu"), 5),
        ("anything", (), None),
        ("", ("p",), None),
    ],
)
def test_options_of_every_kind(text, options, expected):
    assert chosen_option(text, options) == expected


def test_without_letters_only_texts_count():
    words = ("yes", "no", "maybe")
    assert [
        chosen_option(text, words, has_letters=False)
        for text in ("B", "(B)", "The answer is B.", "No.", "yes or no", "No doubt: yes.")
    ] == [None, None, None, 1, None, 0]


@pytest.mark.parametrize(
    "unit",
    ["the answer is ", "A", "(", "not ", "**A", " ", "\n", "\\boxed{", "<think>", "\u7b54\u6848",
     "A, ", "A B ", "C and ", "1 2 3 ", "the man opens the ", "if not ", '"answer":', "\\text{",
     "<answer>", "A?", "No. ", "\u24b6", "\ufdfa", "can't ", "_", "'", "$", ": ", "is a "],
    ids=repr,
)  # fmt: skip
def test_a_megabyte_is_read_in_linear_time(unit):
    """About half a second of CPU each; what grows with the square takes minutes."""
    text = unit * (1_000_000 // len(unit)) + "\nx"
    start = time.process_time()
    chosen_option(text, MEN)
    assert time.process_time() - start < 15.0


def test_grammar_and_cases_are_none_twice():
    texts = [(text, options) for text, options, _ in WRITTEN_BLIND + WRITTEN_LATER + WRITTEN_LAST]
    assert len(texts) - len(set(texts)) <= 5
    assert all(re.search(r"\S", text) for text, _ in texts)
