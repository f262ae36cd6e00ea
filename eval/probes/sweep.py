"""Which penalty a linear classifier is best with: the search of CLIP.

Radford et al. 2021, arXiv 2103.00020, appendix A.3: lambda from 1e-6 to 1e6, eight steps a decade;
first every second decade, then the interval around the best one is halved four times. The measure
is accuracy on a validation part; of equal ones the stronger penalty is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eval.probes.logistic import Classifier, LogisticProblem, places
from eval.probes.preconditioned import Stopping

#: Exponents of 10, from weak to strong.
EXPONENTS = tuple(-6 + step / 8 for step in range(97))
_FIRST = tuple(range(0, len(EXPONENTS), 16))
#: Fits of a sweep, at most.
MOST_FITS = len(_FIRST) + 8


class Labelled(NamedTuple):
    """Features with a class each.

    Attributes:
        features: fp32.
        labels: from 0 on.
    """

    features: Float[Tensor, "samples features"]
    labels: Int64[np.ndarray, " samples"]


class Swept(NamedTuple):
    """The best penalty.

    Attributes:
        l2: of the sum over samples.
        classifier: fitted with it on the training part.
        accuracy: on the validation part, by penalty, all that were tried.
        not_converged: fits that reached the greatest number of steps first.
    """

    l2: float
    classifier: Classifier
    accuracy: dict[float, float]
    not_converged: int


@dataclass(frozen=True, slots=True)
class _Search:
    problem: LogisticProblem
    validation: Labelled
    stopping: Stopping
    on_fit: Callable[[], None]
    fits: dict[int, Classifier] = field(default_factory=dict)
    accuracy: dict[int, float] = field(default_factory=dict)

    def try_all(self, steps: list[int]) -> None:
        """From the strongest penalty on, each fit starting at the nearest one there is."""
        for step in sorted(set(steps) - set(self.fits), reverse=True):
            near = min(self.fits, key=lambda other: (abs(other - step), -other), default=None)
            self.fits[step] = self.problem.fit(
                10 ** EXPONENTS[step],
                stopping=self.stopping,
                start=None if near is None else self.fits[near].weights,
            )
            hits = places(self.fits[step].weights, *self.validation) < 1
            self.accuracy[step] = float(hits.mean())
            self.on_fit()

    def best_of(self, steps: list[int]) -> int:
        return max(steps, key=lambda step: (self.accuracy[step], step))


def sweep(
    problem: LogisticProblem,
    validation: Labelled,
    *,
    stopping: Stopping,
    on_fit: Callable[[], None] = lambda: None,
) -> Swept:
    """Find the penalty.

    Args:
        problem: of the training part.
        validation: at least one sample.
        on_fit: called after each of at most ``MOST_FITS`` fits.
    """
    search = _Search(problem, validation, stopping, on_fit)
    search.try_all(list(_FIRST))
    peak, width = search.best_of(list(_FIRST)), 8
    while width:
        around = [max(peak - width, 0), peak, min(peak + width, len(EXPONENTS) - 1)]
        search.try_all(around)
        peak = search.best_of(around)
        width //= 2
    return Swept(
        l2=10 ** EXPONENTS[peak],
        classifier=search.fits[peak],
        accuracy={10 ** EXPONENTS[step]: search.accuracy[step] for step in sorted(search.fits)},
        not_converged=sum(not fit.converged for fit in search.fits.values()),
    )


def labelled(features: Tensor, labels: Int64[np.ndarray, " all"], rows: np.ndarray) -> Labelled:
    """Some of the features; all of them, in order, without a copy."""
    if len(rows) == len(features) and bool((rows == np.arange(len(rows))).all()):
        return Labelled(features, labels)
    return Labelled(features[torch.from_numpy(rows)], labels[rows])
