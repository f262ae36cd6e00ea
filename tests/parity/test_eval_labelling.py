"""Figures of labels against scikit-learn, cut points against all pairs, tables against loops."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, precision_recall_fscore_support

from eval.metrics.agreement import cohen_kappa
from eval.metrics.clustered import clustered_mean
from eval.metrics.clustered_table import ClusteredTable
from eval.metrics.cut_points import fit_cut_points
from eval.metrics.labelling import accuracy_from_recalls, class_figures, confusion
from eval.metrics.paired import paired_means


@pytest.mark.parametrize("seed", range(4))
def test_class_figures_equal_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=60)
    predicted = rng.integers(3 - seed % 2, size=60)  # half of the time a class is never given
    figures = class_figures(confusion(labels, predicted, 3))
    expected = precision_recall_fscore_support(labels, predicted, labels=range(3), zero_division=0)
    for own, theirs in zip(figures, expected, strict=True):
        np.testing.assert_allclose(own, theirs)
    accuracy = accuracy_from_recalls(figures.recall, figures.support)
    assert accuracy == pytest.approx(accuracy_score(labels, predicted))


def test_kappa_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(3, size=40)
    second = np.where(rng.random(40) < 0.6, first, rng.integers(3, size=40))
    found = cohen_kappa(first, second, num_answers=3)
    assert found is not None
    assert found.value == pytest.approx(cohen_kappa_score(first, second))
    assert found.low < found.value < found.high
    same = np.zeros(5, dtype=np.int64)
    assert cohen_kappa(same, same, num_answers=3) is None
    assert cohen_kappa(same[:0], same[:0], num_answers=3) is None


@pytest.mark.parametrize("seed", range(6))
def test_cut_points_are_the_best_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(size=25), 1 if seed % 2 else 6)  # with and without ties
    classes = np.clip(np.round(scores + rng.normal(size=25)) + 1, 0, 2).astype(np.int64)
    cuts = [-np.inf, *sorted(set((scores + 1e-9).tolist()))]
    best = max(
        sum(int(s >= low) + int(s >= high) == c for s, c in zip(scores, classes, strict=True))
        for low in cuts
        for high in cuts
        if low <= high
    )
    points = fit_cut_points(scores, classes)
    assert points.low <= points.high
    assert (points.classify(scores) == classes).sum() == best


def test_table_equals_single_figures_and_paired_differences() -> None:
    rng = np.random.default_rng(3)
    clusters = rng.integers(12, size=50)
    first, second = rng.random(50), rng.random(50)
    table = ClusteredTable({"first": first, "second": second}, clusters, seed=5)
    assert table.score("first") == _Near(clustered_mean(first, clusters, seed=5))
    expected = paired_means(first, second, images=clusters, unit="points", seed=5)
    assert table.difference("first", "second") == _Near(expected)


def test_table_leaves_rows_without_value_out() -> None:
    values = np.array([1.0, np.nan, 0.0, np.nan])
    columns = {"some": values, "none": np.full(4, np.nan)}
    table = ClusteredTable(columns, np.array([0, 0, 1, 2]), seed=0)
    assert "none" not in table
    assert (table.score("some").value, table.score("some").n) == (0.5, 2)


class _Near:
    """Equal to a score with all its figures within rounding."""

    def __init__(self, score) -> None:
        self._score = score

    def __eq__(self, other: object) -> bool:
        mine, theirs = self._score, other
        assert (mine.n, mine.unit) == (theirs.n, theirs.unit)
        figures = [(s.value, s.low, s.high) for s in (mine, theirs)]
        return figures[0] == pytest.approx(figures[1])

    __hash__ = None  # pyright: ignore
