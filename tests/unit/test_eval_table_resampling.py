"""Resampled tables give the figures of the images they stand for."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score

from eval.metrics import agreement, bleu, groups, resampling
from eval.metrics.agreement import cohen_kappa
from eval.metrics.bleu import bleu_values
from eval.metrics.groups import macro_f1
from eval.metrics.intervals import NUM_RESAMPLES
from eval.metrics.resampling import cell_draws


def _answers() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, size=40) * 2
    return labels, np.where(rng.random(40) < 0.7, labels, rng.integers(0, 9, size=40))


def test_f1_of_resampled_tables_is_that_of_their_images() -> None:
    labels, named = _answers()
    codes, images = np.unique(labels * 9 + named, return_counts=True)
    found = groups._drawn_f1(labels, named, 3)
    tables = np.concatenate(list(cell_draws(images, seed=3)))
    assert found.shape == (NUM_RESAMPLES,)
    for table, value in zip(tables[:50], found, strict=False):
        own = np.repeat(codes, table)
        expected = f1_score(own // 9, own % 9, labels=np.unique(own // 9), average="macro")
        assert value == pytest.approx(expected)


def test_kappa_of_resampled_tables_is_that_of_their_items() -> None:
    rng = np.random.default_rng(1)
    tables = rng.integers(0, 5, size=(20, 3, 3))
    for table, value in zip(tables, agreement._kappas(tables), strict=True):
        own = np.repeat(np.arange(9), table.ravel())
        assert value == pytest.approx(cohen_kappa_score(own // 3, own % 3))
    alone = np.zeros((1, 3, 3), dtype=np.int64)
    alone[0, 1, 1] = 4
    assert np.isnan(agreement._kappas(alone)).all()


def test_bleu_of_rows_is_that_of_each() -> None:
    """BLEU-2 by hand: precisions 3/4 and 1/2, 4 words for 5, so exp(-1/4) sqrt(3/8)."""
    own = np.array([3.0, 1, 0, 0, 4, 2, 1, 0, 4, 5])
    assert bleu_values(own)[1] == pytest.approx(np.exp(-0.25) * np.sqrt(3 / 8))
    assert bleu_values(own)[2:] == [0.0, 0.0]
    assert bleu_values(np.zeros(10)) == [0.0] * 4
    rows = np.stack([own, np.zeros(10)])
    assert bleu._values(rows)[0].tolist() == bleu_values(own)


def test_tables_are_drawn_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.array([3, 0, 5])
    monkeypatch.setattr(resampling, "_LARGEST_BATCH", 3 * 700)
    batches = list(cell_draws(counts, seed=0))
    assert [len(batch) for batch in batches] == [700, 700, 600]
    assert all((batch.sum(axis=1) == 8).all() and not batch[:, 1].any() for batch in batches)


def test_intervals_have_the_width_of_large_sample_theory() -> None:
    """Fleiss, Cohen and Everitt 1969 for kappa of two alike answers: var = 4 a (1 - a) / n."""
    rng = np.random.default_rng(2)
    first = np.arange(2000) % 2
    second = np.where(rng.permutation(2000) < 1600, first, 1 - first)
    score = cohen_kappa(first, second, num_answers=2)
    assert score is not None
    agreed = (score.value + 1) / 2
    error = 2 * np.sqrt(agreed * (1 - agreed) / 2000)
    assert score.high - score.low == pytest.approx(2 * 1.96 * error, rel=0.08)
    f1 = macro_f1(first, second, seed=0)
    # With equal classes and errors F1 is accuracy.
    assert f1.high - f1.low == pytest.approx(1.96 * error, rel=0.08)
