"""The line that accuracy under a shift follows, against accuracy on a reference set.

Taori et al. 2020 (arXiv 2007.00644) and Miller et al. 2021 (arXiv 2107.04649): over models of one
training set, transformed accuracies lie on a straight line. Nguyen et al. 2022 ("Quality Not
Quantity", arXiv 2208.05516) fit one for each source of image-text pairs and compare slopes. The
points of a line here are evaluations along training, as many for each seed.
"""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float64
from scipy.special import expit, logit, ndtr, ndtri

#: On which axes accuracies are straight: log odds, or quantiles of the normal distribution.
Scale = Literal["logit", "probit"]

Values: TypeAlias = Float64[np.ndarray, "... points"]
Lines: TypeAlias = Float64[np.ndarray, "..."] | float


class Fit(NamedTuple):
    """Ordinary least squares, one line for each leading index.

    Attributes:
        slope, intercept: on the transformed axes; NaN where the points do not spread.
    """

    slope: Lines
    intercept: Lines

    def at(self, x: float) -> Lines:
        """Height of the lines."""
        return self.intercept + self.slope * x


def transformed(share: Values, pictures: int, scale: Scale) -> Values:
    """An accuracy on the axes of a line.

    Half a hit and half a miss are added, so that 0 and 1 have a place (Haldane 1956).

    Args:
        share: of the pictures that were right.
        pictures: of the test.
        scale: of the axes.
    """
    shrunk = (share * pictures + 0.5) / (pictures + 1)
    return logit(shrunk) if scale == "logit" else ndtri(shrunk)


def as_accuracy(value: float, scale: Scale) -> float:
    """From the axes back to a share."""
    return float(expit(value) if scale == "logit" else ndtr(value))


def fitted(x: Values, y: Values, weights: Values) -> Fit:
    """The line of weighted points.

    Args:
        x: transformed accuracy on the reference.
        y: transformed accuracy under the shift.
        weights: not negative.
    """
    total = weights.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y = (weights * x).sum(axis=-1) / total, (weights * y).sum(axis=-1) / total
        from_x = x - mean_x[..., None]
        spread = (weights * from_x**2).sum(axis=-1)
        slope = (weights * from_x * y).sum(axis=-1) / np.where(spread > 1e-12, spread, np.nan)
    return Fit(slope, mean_y - slope * mean_x)


def explained(x: Float64[np.ndarray, " points"], y: Float64[np.ndarray, " points"]) -> float:
    """Share of the variance of y that the line explains; NaN where y does not vary."""
    fit = fitted(x, y, np.ones_like(x))
    total = float(((y - y.mean()) ** 2).sum())
    left = float(((y - fit.at(0.0) - fit.slope * x) ** 2).sum())
    return 1 - left / total if total > 0 else float("nan")
