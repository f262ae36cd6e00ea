"""Which nouns a caption denies."""

import pytest

from eval.xmai.matching import nouns_in
from eval.xmai.negation import denied, is_denied
from eval.xmai.rule_nouns import rule_nouns


@pytest.mark.parametrize(
    ("caption", "gone", "there"),
    [
        ("A bathroom with no large toilets.", ["toilets"], ["bathroom"]),
        ("a man without a hat on a horse", ["hat"], ["man", "horse"]),
        ("This is not a cat, it is a dog", ["cat"], ["dog"]),
        ("A room that lacks windows and doors in a tower", ["windows", "doors"], ["room", "tower"]),
        ("a street free of cars", ["cars"], ["street"]),
        ("Neither a dog nor a cat on the sofa", ["dog", "cat"], ["sofa"]),
        ("The toilets are missing from the bathroom.", ["toilets"], ["bathroom"]),
        ("a bike missing a wheel by a wall", ["wheel"], ["bike", "wall"]),
        ("There isn't a red car in the lot", ["car"], ["lot"]),
        ("There isn\u2019t a red car in the lot", ["car"], ["lot"]),
        ("no cats, dogs or birds on the grass", ["cats", "dogs", "birds"], ["grass"]),
        ("a table with no food and a man", ["food"], ["table", "man"]),
        ("without a hat and a coat", ["hat", "coat"], []),
        ("not only a dog but a cat", [], ["dog", "cat"]),
        ("nothing on the table", [], ["table"]),
        ("No one is on the street", [], ["street"]),
        ("A dog is nowhere to be seen, and a cat sleeps", ["dog"], ["cat"]),
        ("The man is not wearing a hat", ["hat"], ["man"]),
        ("the car is not red", [], ["car"]),
        ("A smoke-free room with a table", ["smoke"], ["room", "table"]),
        ("a desk instead of a bed", ["bed"], ["desk"]),
        ("NO DOGS ON THE BEACH", ["DOGS"], ["BEACH"]),
        ("an absent chair beside a lamp", ["chair"], ["lamp"]),
        ("bus no. 5 at a stop", [], ["bus", "stop"]),
        ("a house with hardly any furniture", ["furniture"], ["house"]),
    ],
)
def test_denied_and_there(caption: str, gone: list[str], there: list[str]) -> None:
    parts = denied(caption)
    for word in (*gone, *there):
        start = caption.index(word)
        assert is_denied(start, start + len(word), parts) == (word in gone), word


def test_denied_nouns_have_no_gap_and_others_have() -> None:
    nouns = nouns_in(["a kitchen with no window and a stove"], rule_nouns)[0]
    assert [noun.phrase for noun in nouns] == ["kitchen", "stove"]


def test_nouns_that_take_no_adjective_are_left_out() -> None:
    captions = [
        "a cat in front of something",
        "a walk with Batman near the Tower",
        "a children's book",
    ]
    found = [[noun.phrase for noun in own] for own in nouns_in(captions, rule_nouns)]
    assert found == [["cat"], ["walk", "Tower"], []]
