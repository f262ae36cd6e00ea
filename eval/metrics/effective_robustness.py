"""Is a model more robust than its accuracy lets expect?

Taori et al. 2020, arXiv 2007.00644, section 2: over models trained on ImageNet alone, accuracy
under a natural shift follows accuracy without it, on logit axes a straight line,

    logit(y) = intercept + slope * logit(x).

Effective robustness rho = y - sigmoid(intercept + slope * logit(x)) is the height of a model above
that line; relative robustness tau = y of a treated model - y of the same model before.
"""

import math
from typing import NamedTuple

from eval.errors import EvaluationError
from eval.results import Score


class BaselineFit(NamedTuple):
    """The line of the models trained on ImageNet alone.

    Attributes:
        slope: in logits.
        intercept: in logits.
        r2: share of variance explained, in logits.
        num_models: models fitted.
        measured_on: what x is the accuracy on.
        is_trusted: False where the set was selected by the errors of one model, which bends the
            line; report accuracy there and no rho.
    """

    slope: float
    intercept: float
    r2: float
    num_models: int
    measured_on: str
    is_trusted: bool = True


#: Ordinary least squares over the standard-trained models of imagenet-testbed with at least 55%
#: validation accuracy (robustness_top1s.csv of that repository), fitted in November 2026.
#: ImageNet-A was selected against a ResNet-50.
BASELINE_FITS = {
    "imagenetv2-matched-frequency": BaselineFit(0.9114, -0.4813, 0.996, 85, "ImageNet val"),
    "imagenetv2-format-val": BaselineFit(0.9232, -0.4977, 0.996, 85, "ImageNet val"),
    "imagenet-sketch": BaselineFit(1.0709, -2.3701, 0.869, 85, "ImageNet val"),
    "imagenet-r": BaselineFit(0.6368, -2.1077, 0.889, 80, "ImageNet val, the 200 classes of R"),
    "objectnet": BaselineFit(0.9809, -1.9283, 0.953, 85, "ImageNet val, the 113 of ObjectNet"),
    "imagenet-a": BaselineFit(
        1.9900, -7.6325, 0.828, 84, "ImageNet val, the 200 classes of A", is_trusted=False
    ),
}


def expected_accuracy(fit: BaselineFit, accuracy: float) -> float:
    """Accuracy under the shift that the line gives a model with this accuracy without it.

    Args:
        fit: one of ``BASELINE_FITS``.
        accuracy: on ``fit.measured_on``, in (0, 1).
    Raises:
        EvaluationError: the accuracy is 0 or 1, where logits end.
    """
    if not 0 < accuracy < 1:
        raise EvaluationError(
            f"an accuracy of {accuracy:g} has no place on the line of {fit.measured_on}; "
            "effective robustness needs one between 0 and 1"
        )
    logit = math.log(accuracy / (1 - accuracy))
    return 1 / (1 + math.exp(-(fit.intercept + fit.slope * logit)))


def effective_robustness(fit: BaselineFit, *, accuracy: Score, shifted: Score) -> Score:
    """rho with a 95% interval, in [-1, 1].

    The two accuracies come from different images; their intervals are combined as Zou and Donner
    2008 do (MOVER): the distances of the nearer limits add in quadrature. The uncertainty of the
    line itself is not in it.

    Args:
        fit: one of ``BASELINE_FITS``.
        accuracy: without the shift, on ``fit.measured_on``.
        shifted: under the shift.
    Raises:
        EvaluationError: the accuracy without the shift is 0 or 1.
    """
    expected = expected_accuracy(fit, accuracy.value)
    at_low, at_high = (
        expected_accuracy(fit, min(max(limit, 1e-9), 1 - 1e-9))
        for limit in (accuracy.low, accuracy.high)
    )
    value = shifted.value - expected
    low = value - math.hypot(shifted.value - shifted.low, at_high - expected)
    high = value + math.hypot(shifted.high - shifted.value, expected - at_low)
    return Score(value, low, high, shifted.n, unit="points", method="MOVER of Wilson's intervals")


def relative_robustness(*, treated: float, untreated: float) -> float:
    """tau: what a treatment (fine-tuning, other prompts) changes of the accuracy under a shift.

    For an interval take the paired difference on the same images.
    """
    return treated - untreated
