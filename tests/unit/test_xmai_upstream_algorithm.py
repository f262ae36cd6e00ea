"""The published behaviour, fault by fault (numbers of ``eval.xmai.upstream.algorithm``)."""

from collections.abc import Sequence

import numpy as np
import pytest

from eval.hub.similarity import load_similarity
from eval.xmai.objective import Weights
from eval.xmai.rule_nouns import rule_nouns
from eval.xmai.upstream.algorithm import (
    UpstreamInserter,
    UpstreamSettings,
    glued,
    joined_pieces,
    upstream_scaled,
)
from eval.xmai.upstream.matching import mask_direct


class _Model:
    """Splits at spaces and before "#"; fills every mask with the same words."""

    def __init__(self, *words: tuple[str, float]) -> None:
        self._words = words
        self.read: list[list[str]] = []

    def tokenize(self, text: str) -> list[str]:
        return text.replace("#", " ##").replace(".", " .").split()

    def fill(self, tokens: Sequence[str], place: int, count: int) -> list[tuple[str, float]]:
        self.read.append(list(tokens))
        assert tokens[place] == "[MASK]"
        return list(self._words)[:count]

    def is_stop(self, token: str) -> bool:
        return token in ("the", ".")


def _inserter(model: _Model, **settings) -> UpstreamInserter:
    characters = load_similarity("characters")
    weights = Weights(*settings.pop("weights", (1.0, 5.0, 5.0)))
    return UpstreamInserter(
        model,
        nouns=rule_nouns,
        similarity=characters,
        attribute_similarity=characters,
        settings=UpstreamSettings(weights=weights, **settings),
    )


def _zeros(sentences: Sequence[str]) -> np.ndarray:
    return np.zeros(len(sentences))


def test_1_earlier_masks_stay_in_what_the_model_reads() -> None:
    model = _Model(("red", 0.5), ("old", 0.3))
    _inserter(model).perturb("the dog and the cat", ["dog", "cat"], ["", ""], _zeros)
    assert model.read[1] == ["", "the", "[MASK]", "dog", "and", "the", "[MASK]", "cat", ""]


def test_2_scorer_reads_later_masks() -> None:
    asked: list[str] = []

    def distance(sentences: Sequence[str]) -> np.ndarray:
        asked.extend(sentences)
        return np.zeros(len(sentences))

    model = _Model(("red", 0.5), ("old", 0.3))
    found = _inserter(model).perturb("the dog and the cat", ["dog", "cat"], ["", ""], distance)
    assert asked == [
        "the red dog and the [MASK] cat",
        "the old dog and the [MASK] cat",
        "the red dog and the red cat",
        "the red dog and the old cat",
    ]
    assert found == "the red dog and the red cat"


def test_3_boundaries_are_empty_tokens() -> None:
    model = _Model(("red", 0.5))
    _inserter(model).perturb("the dog", ["dog"], [""], _zeros)
    assert model.read[0][0] == model.read[0][-1] == ""


def test_4_pieces_and_masks_are_inserted() -> None:
    fused = _Model(("[UNK]", 0.6), ("##less", 0.5))
    assert _inserter(fused).perturb("the hound dog", ["dog"], [""], _zeros) == "the houndless dog"
    masked = _Model(("[MASK]", 0.5))
    assert _inserter(masked).perturb("the dog", ["dog"], [""], _zeros) == "the [MASK] dog"


def test_5_repeated_objects_of_two_words_lose_their_attributes() -> None:
    found = mask_direct("the tennis ball", ["tennis ball", "tennis ball"])
    assert found.text == "the [MASK] tennis ball"
    assert found.objects == {"tennis": [0]}
    repeated = mask_direct("the ball", ["ball", "ball"])
    assert repeated.objects == {"ball": [0, 1]}


def test_6_zeros_stand_for_missing_candidates() -> None:
    # p of two words and one zero: 0.4 / 0.5 instead of the 0 that two words alone would give
    model = _Model(("red", 0.5), ("old", 0.4))
    nearer = _inserter(model, weights=(1.0, 0.0, 0.5), k=3)
    assert nearer.perturb("the dog", ["dog"], [""], lambda s: np.array([0.0, 1.0])) == "the old dog"
    assert upstream_scaled(np.array([0.5, 0.4, 0.0])).tolist() == [1.0, 0.8, 0.0]
    exact = _inserter(model, weights=(1.0, 0.0, 0.5), k=2)
    assert exact.perturb("the dog", ["dog"], [""], lambda s: np.array([0.0, 1.0])) == "the red dog"


def test_direct_needs_spaces_around_and_sees_the_first_occurrence_only() -> None:
    assert mask_direct("dog with dog", ["dog"]).objects == {}
    assert mask_direct("a big dog.", ["dog"]).objects == {}
    assert mask_direct("a Dog runs", ["dog"]).objects == {}
    assert mask_direct("a dog runs", ["dog"]).text == "a [MASK] dog runs"


def test_mix_asks_for_similar_nouns_only_where_nothing_was_direct() -> None:
    model = _Model(("red", 0.5))
    assert _inserter(model).perturb("a doggy.", ["doggy"], [""], _zeros) == "a red doggy."
    assert _inserter(model, mode="direct").perturb("a doggy.", ["doggy"], [""], _zeros) == (
        "a doggy."
    )


def test_attributes_of_the_noun_steer() -> None:
    model = _Model(("blue", 0.5), ("reddish", 0.4))
    found = _inserter(model).perturb("the dog", ["dog"], ["reddish"], _zeros)
    assert found == "the reddish dog"


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["", "hound", "##less", "dog", ""], "houndless dog"),
        (["", "t", "-", "shirt", ""], "t- shirt"),
        (["", "man", "'", "s", "hat", ".", ""], "man's hat."),
        (["", "a", "", "dog", ""], "a dog"),
    ],
)
def test_gluing(tokens: list[str], text: str) -> None:
    assert glued(tokens) == text


def test_pieces_carry_their_whole_word() -> None:
    assert joined_pieces(["", "a", "ho", "##un", "##d", "x", ""]) == [
        "", "a", "hound", "hound", "hound", "x", "",
    ]  # fmt: skip
