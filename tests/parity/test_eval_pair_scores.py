"""Scores of pairs against the published inequalities, and against noise where scores are level."""

import numpy as np
import pytest

from eval.metrics.pair_scores import choice_hit, pair_scores


def _by_the_book(c):
    """Vinoground's own program: c[i][j] of video i and text j."""
    text = c[0][0] > c[0][1] and c[1][1] > c[1][0]
    video = c[0][0] > c[1][0] and c[1][1] > c[0][1]
    return text, video, text and video


def test_without_ties_they_are_the_published_scores():
    cosines = np.random.default_rng(0).standard_normal((500, 2, 2))
    own = pair_scores(cosines)
    expected = np.array([_by_the_book(c) for c in cosines.tolist()], dtype=float).T
    assert np.array_equal(np.stack(own), expected)
    assert 0.1 < own.group.mean() < 0.25


def test_with_ties_they_are_what_noise_gives():
    rng = np.random.default_rng(1)
    cosines = rng.integers(0, 2, size=(12, 2, 2)).astype(float)
    own = pair_scores(cosines)
    for number, cosine in enumerate(cosines):
        noisy = cosine + 1e-6 * rng.standard_normal((20_000, 2, 2))
        text = (noisy[:, 0, 0] > noisy[:, 0, 1]) & (noisy[:, 1, 1] > noisy[:, 1, 0])
        video = (noisy[:, 0, 0] > noisy[:, 1, 0]) & (noisy[:, 1, 1] > noisy[:, 0, 1])
        for score, drawn in zip(own, (text, video, text & video), strict=True):
            assert score[number] == pytest.approx(drawn.mean(), abs=0.02)


def test_constant_scores_are_worth_a_guess():
    own = pair_scores(np.zeros((3, 2, 2)))
    assert own.text == pytest.approx(np.full(3, 1 / 4))
    assert own.video == pytest.approx(np.full(3, 1 / 4))
    assert own.group == pytest.approx(np.full(3, 1 / 6))


@pytest.mark.parametrize(
    ("scores", "answer", "hit"),
    [([0.1, 0.3], 1, 1.0), ([0.3, 0.1], 1, 0.0), ([0.3, 0.3, 0.1], 0, 0.5), ([1, 1, 1], 2, 1 / 3)],
)
def test_choices_with_ties(scores, answer, hit):
    assert choice_hit(np.array(scores, dtype=float), answer) == pytest.approx(hit)
