import numpy as np
import pytest

from eval.errors import EvaluationError
from eval.metrics.consistency import ONE_PIXEL_SHIFTS, shift_consistency
from eval.metrics.factors import factor_scores, level_scores, worst_factor


def test_factor_accuracy_and_error_ratio_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    is_active = rng.random((500, 3)) < (0.5, 0.1, 0.0)
    is_correct = rng.random(500) < np.where(is_active[:, 1], 0.4, 0.8)
    scores = factor_scores(is_correct, is_active, ("pose", "texture", "style"), seed=0)
    assert list(scores) == ["pose", "texture"]  # style is never active
    for column, name in enumerate(scores):
        hits = [c for c, active in zip(is_correct, is_active[:, column], strict=True) if active]
        accuracy = sum(hits) / len(hits)
        assert scores[name].accuracy.value == pytest.approx(accuracy)
        ratio = scores[name].error_ratio
        assert ratio is not None
        assert ratio.value == pytest.approx((1 - accuracy) / (1 - is_correct.mean()))
        assert ratio.low < ratio.value < ratio.high
        assert ratio.n == len(hits)
    assert worst_factor(scores) == "texture"
    assert scores["texture"].error_ratio.low > 1


def test_interval_of_the_ratio_matches_resampling_image_by_image() -> None:
    rng = np.random.default_rng(3)
    active = rng.random(200) < 0.3
    is_correct = rng.random(200) < 0.7
    score = factor_scores(is_correct, active[:, None], ("pose",), seed=0)["pose"].error_ratio
    ratios = []
    for _ in range(4000):
        drawn = rng.integers(0, 200, size=200)
        wrong, on = ~is_correct[drawn], active[drawn]
        ratios.append(wrong[on].mean() / wrong.mean())
    low, high = np.quantile(ratios, [0.025, 0.975])
    # Quantiles of some thousand draws; their own error is about 0.01.
    assert (score.low, score.high) == (pytest.approx(low, abs=0.04), pytest.approx(high, abs=0.04))


def test_a_perfect_model_has_no_error_ratio() -> None:
    always = np.ones(4, dtype=bool)
    scores = factor_scores(always, np.eye(4, dtype=bool), tuple("abcd"), seed=0)
    assert all(score.error_ratio is None for score in scores.values())
    one = factor_scores(~always[:1], always[:1, None], ("a",), seed=0)["a"]
    assert (one.error_ratio.value, one.accuracy.value) == (1.0, 0.0)


def test_levels_and_their_spread() -> None:
    levels = np.repeat([0, 1, 3], 100)
    is_correct = np.concatenate([np.arange(100) < hits for hits in (90, 50, 70)])
    scores = level_scores(is_correct, levels, ("sky", "sea", "sand", "snow"), seed=0)
    assert {k: v.value for k, v in scores.accuracy.items()} == {
        "sky": 0.9,
        "sea": 0.5,
        "snow": 0.7,
    }
    assert scores.spread.value == pytest.approx(0.4)
    assert 0.2 < scores.spread.low < 0.4 < scores.spread.high < 0.55
    one = level_scores(is_correct[:5], levels[:5], ("sky",), seed=0)
    assert (one.spread.value, one.spread.low, one.spread.high) == (0.0, 0.0, 0.0)


def test_flip_rates_count_images_and_pairs() -> None:
    base = np.array([0, 1, 2, 3])
    shifted = np.repeat(base[:, None], 8, axis=1)
    shifted[1, 3] = 0
    shifted[2, :4] = 0
    cosines = np.full((4, 8), 0.9)
    cosines[2, 5] = 0.3
    result = shift_consistency(base, shifted, cosines, seed=0)
    assert result.flip_rate.value == 0.5
    assert result.mean_flip_rate.value == pytest.approx(5 / 32)
    assert result.mean_min_cosine.value == pytest.approx((3 * 0.9 + 0.3) / 4)
    assert result.min_cosine == 0.3
    for score in result[:3]:
        assert score.low <= score.value <= score.high
    assert result.flip_rate.n == 4
    assert shift_consistency(base, shifted, seed=0).min_cosine is None
    assert len(set(ONE_PIXEL_SHIFTS)) == 8


def test_nothing_to_work_on_is_one_clear_line() -> None:
    nothing = np.zeros(0, dtype=bool)
    with pytest.raises(EvaluationError, match="at least one annotated"):
        factor_scores(nothing, np.zeros((0, 2), dtype=bool), ("a", "b"), seed=0)
    with pytest.raises(EvaluationError, match="at least one image"):
        level_scores(nothing, np.zeros(0, dtype=np.int64), (), seed=0)
    with pytest.raises(EvaluationError, match="there are none"):
        shift_consistency(np.zeros(0, dtype=int), np.zeros((0, 8), dtype=int), seed=0)
