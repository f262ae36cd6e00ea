"""How well one number an image separates in-distribution (ID) from other images (OOD).

AUROC and the areas under precision and recall are scikit-learn's (average precision, the step
rule, no interpolation). FPR95 is published in two conventions that differ in what is kept at 95%:

- ``fpr95_id``: ID is the positive class. Share of OOD images that pass where 95% of the ID images
  do. As the MCM repository computes it (utils/detection_util.py): of all thresholds, the one
  whose recall is nearest 95%, the lower one of two that are as near.
- ``fpr95_ood``: OOD is the positive class. Share of ID images that are turned away where 95% of
  the OOD images are. As OpenOOD computes it (openood/evaluators/metrics.py): the first threshold
  with a recall of at least 95%. Every threshold counts here; scikit-learn's curve leaves some
  out by default, which can differ where several scores have ties of both kinds in equal numbers.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.stats import binom
from sklearn.metrics import average_precision_score, roc_auc_score

from eval.errors import EvaluationError
from eval.metrics.auroc_interval import auroc_limits
from eval.metrics.effective_trials import TAIL, Limits, containing
from eval.metrics.intervals import scored, wilson_limits
from eval.metrics.ranking_area import average_precision_limits
from eval.results import Score

RECALL = 0.95
NAMES = ("auroc", "aupr_in", "aupr_out", "fpr95_id", "fpr95_ood")

STRATIFIED = (
    "95%: AUROC by Newcombe's method 5 with DeLong's variance, AUPR by Korn-Graubard's effective "
    "trials with the jackknife error of images, ID and OOD apart, FPR95 by "
    "MOVER of the threshold's and the share's limits"
)
THRESHOLD = "MOVER of the threshold's order statistics and Wilson's limits"
FEW_AT_THRESHOLD = f"{THRESHOLD} (fewer than 500 on a side: covers at least 95%)"

_ENOUGH = 500


class _Counts(NamedTuple):
    """Images at each different score, scores ascending."""

    inside: Float64[np.ndarray, " scores"]
    outside: Float64[np.ndarray, " scores"]


def detection_scores(
    inside: Float64[np.ndarray, " inside"], outside: Float64[np.ndarray, " outside"], *, seed: int
) -> dict[str, Score]:
    """``auroc``, ``aupr_in``, ``aupr_out``, ``fpr95_id`` and ``fpr95_ood`` with 95% intervals.

    ID and OOD images are samples of their own, whose numbers stay; precision, and with it AUPR,
    depends on their ratio and compares only between sets of equal ratio.

    Args:
        inside: scores of ID images, higher meaning more in-distribution.
        outside: scores of OOD images.
        seed: not needed; kept with the others' settings.
    Raises:
        EvaluationError: one side has no images, or scores are not finite.
    """
    _refuse(inside, outside)
    values = detection_values(inside, outside)
    n = len(inside) + len(outside)
    scores = {
        name: scored(values[name], limits, n)
        for name, limits in (
            ("auroc", auroc_limits(inside, outside)),
            ("aupr_in", average_precision_limits(inside, outside)),
            ("aupr_out", average_precision_limits(-outside, -inside)),
        )
    }
    for name, limits in (
        ("fpr95_id", _passing_limits(values["fpr95_id"], inside, outside)),
        ("fpr95_ood", _passing_limits(values["fpr95_ood"], -outside, -inside)),
    ):
        scores[name] = scored(values[name], limits, n, lower_is_better=True)
    return scores


def _passing_limits(value: float, kept: np.ndarray, others: np.ndarray) -> Limits:
    """Interval of the share of the others at or above the 5% quantile of those to be kept.

    The true quantile lies between two order statistics in 95% of samples, whatever the
    distribution; where the lower one does not exist, everything may pass. Its limits and Wilson's
    for the share add in quadrature.
    """
    count = len(kept)
    ascending = np.sort(kept)
    least, most = (int(binom.ppf(share, count, 1 - RECALL)) for share in (TAIL, 1 - TAIL))
    # At most ``least`` - 1 below the quantile has a chance below 2.5%, more than ``most`` as well.
    strict = ascending[most] if most < count else np.inf
    lenient = ascending[least - 1] if least else -np.inf
    fewest, greatest = (float((others >= threshold).mean()) for threshold in (strict, lenient))
    passing = wilson_limits(round(value * len(others)), len(others))
    low = value - math.hypot(value - min(fewest, value), value - passing.low)
    high = value + math.hypot(max(greatest, value) - value, passing.high - value)
    method = THRESHOLD if min(count, len(others)) >= _ENOUGH else FEW_AT_THRESHOLD
    return containing(value, max(0.0, low), min(1.0, high), method)


def detection_values(
    inside: Float64[np.ndarray, " inside"], outside: Float64[np.ndarray, " outside"]
) -> dict[str, float]:
    """The five figures without intervals; arguments and errors as in ``detection_scores``."""
    _refuse(inside, outside)
    scores = np.concatenate([inside, outside])
    is_inside = np.arange(len(scores)) < len(inside)
    _, places = np.unique(scores, return_inverse=True)
    counts = _Counts(
        np.bincount(places, weights=is_inside), np.bincount(places, weights=~is_inside)
    )
    figures = (
        float(roc_auc_score(is_inside, scores)),
        float(average_precision_score(is_inside, scores)),
        float(average_precision_score(~is_inside, -scores)),
        _fpr95_id(counts),
        _fpr95_ood(counts),
    )
    return dict(zip(NAMES, figures, strict=True))


def _refuse(inside: np.ndarray, outside: np.ndarray) -> None:
    for name, scores in (("in-distribution", inside), ("out-of-distribution", outside)):
        if not len(scores):
            raise EvaluationError(f"there are no {name} images; give a data set that has some")
        if not np.isfinite(scores).all():
            raise EvaluationError(
                f"scores of {name} images are NaN or infinite; check the embeddings"
            )


def _fpr95_id(counts: _Counts) -> float:
    drawn = counts.inside + counts.outside > 0
    hits, alarms = _passing(_Counts(counts.inside[drawn], counts.outside[drawn]))
    num_needed = int(np.searchsorted(hits, hits[-1])) + 1
    recall = (hits / hits[-1])[:num_needed][::-1]
    nearest = int(np.argmin(np.abs(recall - RECALL)))
    return float(alarms[:num_needed][::-1][nearest] / alarms[-1])


def _fpr95_ood(counts: _Counts) -> float:
    caught, rejected = np.cumsum(counts.outside), np.cumsum(counts.inside)
    first = int(np.argmax(caught / caught[-1] >= RECALL))
    return float(rejected[first] / rejected[-1])


def _passing(counts: _Counts) -> tuple[np.ndarray, np.ndarray]:
    """ID and OOD images with at least each score, from the highest score down."""
    return np.cumsum(counts.inside[::-1]), np.cumsum(counts.outside[::-1])
