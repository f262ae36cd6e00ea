"""Detection of mismatched pairs against scikit-learn and loops."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from eval.errors import EvaluationError
from eval.metrics.noise_detection import noise_detection_scores


def _pairs(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    wrong = rng.random(count) < 0.4
    clean = np.clip(rng.normal(np.where(wrong, 0.3, 0.7), 0.25), 0, 1).round(2)
    return clean, wrong


def test_figures_equal_scikit_learn_and_loops() -> None:
    clean, wrong = _pairs(300, seed=0)
    found = {n: s.value for n, s in noise_detection_scores(clean, wrong, seed=1).items()}
    assert found["auroc"] == pytest.approx(roc_auc_score(wrong, 1 - clean))
    assert found["average_precision"] == pytest.approx(average_precision_score(wrong, 1 - clean))
    assert found["f1"] == pytest.approx(f1_score(wrong, clean < 0.5))
    flagged = [p < 0.5 for p, w in zip(clean, wrong, strict=True) if not w]
    assert found["false_flag_rate"] == pytest.approx(np.mean(flagged))
    assert found["rate_error"] == pytest.approx(abs((1 - clean).mean() - wrong.mean()))
    ece = 0.0
    for b in range(15):
        inside = [
            i for i, p in enumerate(clean) if b / 15 <= p < (b + 1) / 15 or (b == 14 and p == 1)
        ]
        if inside:
            ece += len(inside) / 300 * abs(clean[inside].mean() - (~wrong[inside]).mean())
    assert found["ece"] == pytest.approx(ece)


def test_intervals_hold_the_values_and_narrow_with_the_data() -> None:
    wide, narrow = (noise_detection_scores(*_pairs(n, seed=2), seed=1) for n in (60, 2000))
    for name, score in wide.items():
        assert score.low <= score.value <= score.high
        assert narrow[name].high - narrow[name].low < score.high - score.low
    assert wide["ece"].lower_is_better
    assert not wide["f1"].lower_is_better


def test_one_kind_alone() -> None:
    clean, _ = _pairs(50, seed=3)
    none = noise_detection_scores(clean, np.zeros(50, dtype=bool), seed=0)
    assert set(none) == {"false_flag_rate", "ece", "rate_error"}
    assert none["false_flag_rate"].value == pytest.approx((clean < 0.5).mean())
    every = noise_detection_scores(clean, np.ones(50, dtype=bool), seed=0)
    assert set(every) == {"f1", "ece", "rate_error"}


def test_own_estimate_of_the_rate() -> None:
    clean, wrong = _pairs(80, seed=4)
    found = noise_detection_scores(clean, wrong, seed=0, estimated_rate=0.25)
    assert found["rate_error"].value == pytest.approx(abs(0.25 - wrong.mean()))


@pytest.mark.parametrize("bad", [[], [0.5, np.nan], [1.5, 0.2]])
def test_what_are_no_probabilities_is_refused(bad: list[float]) -> None:
    with pytest.raises(EvaluationError):
        noise_detection_scores(np.array(bad), np.zeros(len(bad), dtype=bool), seed=0)
