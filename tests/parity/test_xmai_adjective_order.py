"""The order of adjectives against phrases that grammars and studies print as usual or as wrong."""

from itertools import combinations

import pytest

from eval.xmai.adjective_order import Kind, Span, in_order, kind_of

# source: phrases without their nouns
_PRINTED = {
    "Cambridge Dictionary, Adjectives: order": (
        "amazing red", "strange green metallic", "long narrow plastic", "round italian bread-like",
        "beautiful tall thin young black-haired scottish", "amazing little old chinese",
    ),
    "Scontras, Degen and Goodman 2017, Open Mind 1": (
        "big blue", "good smooth purple plastic", "small brown",
    ),
    "Swan, Practical English Usage, 15": (
        "fat old", "small round black leather", "big modern brick", "wonderful old",
        "beautiful green", "silly fat", "enormous brown german glass", "little modern square brick",
        "round black italian",
    ),
    "British Council, order of adjectives": (
        "nice handsome young", "big black american", "horrible big fierce",
    ),
    "EnglishClub, adjective order": (
        "silly young english", "huge round metal", "small red sleeping",
    ),
    "Forsyth 2013, The Elements of Eloquence": (
        "lovely little old rectangular green french silver whittling",
    ),
    "Collins COBUILD style tables of schoolbooks": (
        "ugly pink plastic", "nice small african", "smart brown leather",
        "beautiful small white chinese", "nice big old square white french china",
        "dirty old black", "small carved chinese jade", "impressive tall grey metal",
    ),
}  # fmt: skip

# Printed as what is not said.
_WRONG = (
    ("red", "amazing"), ("blue", "big"), ("purple", "good"), ("plastic", "smooth"),
    ("leather", "round"), ("old", "fat"), ("old", "wonderful"), ("fat", "silly"),
)  # fmt: skip


@pytest.mark.parametrize("phrase", [phrase for phrases in _PRINTED.values() for phrase in phrases])
def test_no_printed_phrase_is_against_the_order(phrase: str) -> None:
    words = phrase.split()
    for first, second in combinations(words, 2):
        assert in_order(first, second) is not False, (first, second)
    assert all(kind_of(word) for word in words)


def test_most_printed_pairs_have_an_order() -> None:
    pairs = [
        pair
        for phrases in _PRINTED.values()
        for phrase in phrases
        for pair in combinations(phrase.split(), 2)
    ]
    known = [in_order(*pair) for pair in pairs]
    assert known.count(True) / len(known) > 0.9


@pytest.mark.parametrize(("first", "second"), _WRONG)
def test_what_is_printed_as_wrong_is_wrong(first: str, second: str) -> None:
    assert in_order(first, second) is False
    assert in_order(second, first) is True


def test_ten_classes_stand_as_the_dictionary_lists_them() -> None:
    examples = (
        "unusual lovely beautiful", "big small tall", "thin rough untidy",
        "round square rectangular", "young old youthful", "blue red pink",
        "dutch japanese turkish", "metal wood plastic", "general-purpose four-sided u-shaped",
        "cleaning hammering cooking",
    )  # fmt: skip
    kinds = [{kind_of(word) for word in own.split()} for own in examples]
    assert all(len(own) == 1 for own in kinds)
    spans = [own.pop() for own in kinds]
    assert spans == sorted(spans)
    assert [span.first for span in spans if span] == [
        kind for kind in Kind if kind is not Kind.PATTERN
    ]


def test_sources_disagree_about_shape_and_age() -> None:
    assert in_order("old", "square") is None
    assert in_order("round", "young") is None


@pytest.mark.parametrize(
    ("word", "kind"),
    [("larger", Kind.SIZE), ("oldest", Kind.AGE), ("reddish", Kind.COLOUR),
     ("shinier", Kind.QUALITY), ("light brown", Kind.COLOUR), ("black-and-white", Kind.COLOUR),
     ("ten-year-old", Kind.AGE),
     ("heart-shaped", Kind.TYPE), ("dark skin tone", Kind.COLOUR), ("Wooden", Kind.MATERIAL)],
)  # fmt: skip
def test_forms_stand_where_their_words_do(word: str, kind: Kind) -> None:
    assert kind_of(word) == Span(kind, kind)


def test_unknown_words_have_no_place() -> None:
    assert kind_of("zorp") is None
    assert in_order("zorp", "red") is None
