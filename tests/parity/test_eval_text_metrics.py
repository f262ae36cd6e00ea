"""BLEU and METEOR against NLTK, distances against their recursion, BERTScore against loops."""

import random
from functools import cache

import numpy as np
import pytest
import torch

from eval.metrics.edits import edit_distance
from eval.metrics.greedy_matching import greedy_matching
from eval.metrics.meteor import meteor
from eval.metrics.sentence_bleu import sentence_bleu

_WORDS = ("a", "b", "c", "d", "running", "runs", "walk", "Walks")
_SYNONYMS = {"a": ["b"], "c": ["d", "e_f"], "running": ["walk"], "run": ["walk", "a"]}


class _Lemma:
    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        return self._name


class _Synset:
    def __init__(self, names: list[str]) -> None:
        self._names = names

    def lemmas(self) -> list[_Lemma]:
        return [_Lemma(name) for name in self._names]


class _WordNet:
    """As much of NLTK's reader as METEOR asks for."""

    def synsets(self, word: str) -> list[_Synset]:
        return [_Synset(_SYNONYMS.get(word, []))]


def _pairs(count: int, longest: int) -> list[tuple[list[str], list[str]]]:
    rng = random.Random(0)

    def words() -> list[str]:
        return [rng.choice(_WORDS) for _ in range(rng.randint(1, longest))]

    return [(words(), words()) for _ in range(count)]


@pytest.mark.filterwarnings("ignore:\nThe hypothesis contains 0 counts")
def test_bleu_equals_nltk() -> None:
    bleu = pytest.importorskip("nltk.translate.bleu_score")
    smooth = bleu.SmoothingFunction().method4
    for text, reference in _pairs(1500, 9):
        expected = bleu.sentence_bleu(
            [reference], text, smoothing_function=smooth, auto_reweigh=True
        )
        assert sentence_bleu(text, reference) == pytest.approx(expected, abs=1e-12)
    assert sentence_bleu([], ["a"]) == 0.0


def test_meteor_equals_nltk_in_all_stages() -> None:
    score = pytest.importorskip("nltk.translate.meteor_score")
    stem = pytest.importorskip("nltk.stem.porter").PorterStemmer().stem

    def forms(word: str) -> list[str]:
        return [name for name in _SYNONYMS.get(word, []) if "_" not in name]

    for text, reference in _pairs(1500, 9):
        expected = score.single_meteor_score(reference, text, wordnet=_WordNet(), gamma=0.5)
        found = meteor(text, reference, stem=stem, synonyms=forms)
        assert found == pytest.approx(expected, abs=1e-12)


def test_meteor_of_equal_texts() -> None:
    assert meteor(["a", "b"], ["A", "b"]) == 1 - 0.5 / 2**3
    assert meteor(["a"], ["b"]) == meteor([], ["b"]) == 0.0


def test_edit_distance_is_the_recursion() -> None:
    for first, second in _pairs(80, 5):

        @cache
        def distance(i: int, j: int, one: tuple = tuple(first), other: tuple = tuple(second)):
            if not i or not j:
                return i + j
            change = distance(i - 1, j - 1) + (one[i - 1] != other[j - 1])
            return min(change, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

        assert edit_distance(first, second) == distance(len(first), len(second))
    assert edit_distance("kitten", "sitting") == 3


def test_greedy_matching_is_the_mean_of_best_cosines() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(3, n, 4, generator=generator) for n in (5, 6))
    is_one = torch.arange(5) < torch.tensor([5, 3, 1])[:, None]
    is_other = torch.arange(6) < torch.tensor([2, 6, 4])[:, None]
    found = greedy_matching(one, other, is_one, is_other)
    for row in range(3):
        left = [v.numpy().astype(np.float64) for v in one[row][is_one[row]]]
        right = [v.numpy().astype(np.float64) for v in other[row][is_other[row]]]
        cosines = np.array(
            [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in right] for a in left]
        )
        precision, recall = cosines.max(axis=1).mean(), cosines.max(axis=0).mean()
        assert found.precision[row].item() == pytest.approx(precision, abs=1e-6)
        assert found.recall[row].item() == pytest.approx(recall, abs=1e-6)
        harmonic = 2 * precision * recall / (precision + recall)
        expected = harmonic if precision + recall > 0 else 0.0
        assert found.f1[row].item() == pytest.approx(expected, abs=1e-5)
