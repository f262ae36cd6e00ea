"""BLEU, CIDEr-D and ROUGE-L against float64 loops over their definitions, and torchmetrics."""

import math
from functools import lru_cache

import numpy as np
import pytest
from torchmetrics.functional.text import bleu_score

from eval.metrics.bleu import bleu_counts, bleu_scores, bleu_values
from eval.metrics.captions import caption_scores, shuffled_cider
from eval.metrics.cider import cider_values
from eval.metrics.effective_trials import effective_limits
from eval.metrics.rouge_l import rouge_l_values

WORDS = ("a", "red", "cat", "on", "the", "mat", "blue", "dog", "sits")


def _corpus(count: int, *, seed: int) -> tuple[list[list[str]], list[list[list[str]]]]:
    rng = np.random.default_rng(seed)

    def sentence() -> list[str]:
        return rng.choice(WORDS, rng.integers(4, 9)).tolist()

    return [sentence() for _ in range(count)], [
        [sentence() for _ in range(1 + i % 3)] for i in range(count)
    ]


def _grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _bleu_by_loop(captions, references, order: int) -> float:
    """Papineni et al. 2002, equations of section 2.3, nearest reference length."""
    log_precision = 0.0
    for n in range(1, order + 1):
        right = total = 0
        for caption, own in zip(captions, references, strict=True):
            grams = _grams(caption, n)
            for gram in set(grams):
                right += min(grams.count(gram), max(_grams(r, n).count(gram) for r in own))
            total += len(grams)
        if not right:
            return 0.0
        log_precision += math.log(right / total) / order
    length = sum(map(len, captions))
    nearest = sum(
        sorted((abs(len(r) - len(c)), len(r)) for r in own)[0][1]
        for c, own in zip(captions, references, strict=True)
    )
    return min(1.0, math.exp(1 - nearest / length)) * math.exp(log_precision)


def test_bleu_equals_the_definition_and_torchmetrics() -> None:
    captions, references = _corpus(40, seed=0)
    values = bleu_values(bleu_counts(captions, references).sum(axis=0))
    for order, value in enumerate(values, start=1):
        assert value == pytest.approx(_bleu_by_loop(captions, references, order), rel=1e-12)
        theirs = bleu_score(
            [" ".join(c) for c in captions],
            [[" ".join(r) for r in own] for own in references],
            n_gram=order,
        )
        assert value == pytest.approx(float(theirs), rel=1e-5)


def test_bleu_interval_is_that_of_redrawn_corpora() -> None:
    captions, references = _corpus(12, seed=1)
    counts = bleu_counts(captions, references)
    scores = bleu_scores(counts, seed=5)
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(2000):
        rows = rng.integers(12, size=12)
        drawn.append(bleu_values(counts[rows].sum(axis=0))[1])
    error = np.std(drawn) * math.sqrt(12 / 11)
    limits = effective_limits(scores["bleu_2"].value, error, units=12.0)
    assert (scores["bleu_2"].low, scores["bleu_2"].high) == pytest.approx((limits.low, limits.high))


def test_bleu_without_matches_or_words_is_zero() -> None:
    assert bleu_values(bleu_counts([["x"]], [[["y", "z"]]]).sum(axis=0)) == [0.0] * 4
    assert bleu_values(bleu_counts([[]], [[["y"]]]).sum(axis=0)) == [0.0] * 4
    perfect = bleu_values(bleu_counts([["a", "b"]], [[["a", "b"]]]).sum(axis=0))
    assert perfect == [1.0, 1.0, 0.0, 0.0]


def _cider_by_loop(captions, references, number: int) -> float:
    """Vedantam et al. 2015, equations 1 to 4 with the clipping and penalty of the variant D.

    Dense vectors over the whole vocabulary of n-grams, in float64.
    """
    total = 0.0
    for n in range(1, 5):
        every = {g for own in references for r in own for g in _grams(r, n)}
        vocabulary = sorted(every | {g for c in captions for g in _grams(c, n)})
        if not vocabulary:
            continue
        held = [sum(any(g in _grams(r, n) for r in own) for own in references) for g in vocabulary]
        rarity = np.log(len(references)) - np.log(np.maximum(held, 1.0))

        def vector(words, n=n, vocabulary=vocabulary, rarity=rarity):
            grams = _grams(words, n)
            return np.array([grams.count(g) for g in vocabulary], dtype=np.float64) * rarity

        caption = vector(captions[number])
        for words in references[number]:
            reference = vector(words)
            norms = np.linalg.norm(caption) * np.linalg.norm(reference)
            if norms:
                cosine = np.minimum(caption, reference) @ reference / norms
                gap = len(captions[number]) - len(words)
                total += cosine * math.exp(-(gap**2) / 72) / len(references[number])
    return 10 * total / 4


def test_cider_equals_the_definition() -> None:
    captions, references = _corpus(25, seed=2)
    captions[3] = references[3][0]
    captions[4] = ["word", "that", "nobody", "wrote"]
    values = cider_values(captions, references)
    by_loop = [_cider_by_loop(captions, references, i) for i in range(25)]
    np.testing.assert_allclose(values, by_loop, rtol=1e-12, atol=1e-15)
    assert values[4] == 0.0
    assert cider_values(captions[:1], references[:1]).tolist() == [0.0]
    assert cider_values([[]], [[["a"]]]).tolist() == [0.0]


def test_rouge_l_equals_the_definition() -> None:
    captions, references = _corpus(15, seed=3)
    captions.append([])
    references.append([["a"]])

    def common(first: tuple[str, ...], second: tuple[str, ...]) -> int:
        @lru_cache(None)
        def at(i: int, j: int) -> int:
            if i == len(first) or j == len(second):
                return 0
            if first[i] == second[j]:
                return 1 + at(i + 1, j + 1)
            return max(at(i + 1, j), at(i, j + 1))

        return at(0, 0)

    for caption, own, value in zip(
        captions, references, rouge_l_values(captions, references), strict=True
    ):
        lengths = [common(tuple(caption), tuple(r)) for r in own]
        precision = max(lengths) / max(1, len(caption))
        recall = max(n / len(r) for n, r in zip(lengths, own, strict=True))
        expected = 0.0
        if precision and recall:
            expected = 2.44 * precision * recall / (recall + 1.44 * precision)
        assert value == pytest.approx(expected, rel=1e-12)


def test_scores_of_captions_as_written() -> None:
    captions = ["A red cat!", "the dog, on the mat"]
    references = [["a red cat"], ["The dog on the mat.", "dogs"]]
    found = caption_scores(captions, references, seed=0)
    assert found.scores["bleu_1"].value == 1.0
    assert found.scores["cider"].value == pytest.approx(float(found.cider.mean()))
    assert found.scores["cider"].unit == "number"
    assert set(found.scores) == {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "cider", "rouge_l"}
    moved = shuffled_cider(captions, references, seed=0)
    assert moved.value == 0.0 < found.scores["cider"].low
