"""Interval of an area under the ROC curve that also holds for few images and full separation.

Score type: the values theta that the found area A does not contradict,

    (A - theta)^2 <= t^2 f V(theta).

V is the variance that Hanley and McNeil 1982 (Radiology 143, 29) give an area theta, with the sizes
of both sides averaged as in Newcombe 2006 (Statistics in Medicine 25, 559, method 5). f is
DeLong's variance (DeLong et al. 1988, Biometrics 44, 837) over V(A), which corrects what the model
behind V assumes; at least 1 where one side has fewer than 30 images, or an area so near 0 or 1
that fewer than 5 of its images are out of order: there DeLong's variance alone covers as little as
89 %. t is Student's quantile with
Satterthwaite's degrees of freedom for the sum of DeLong's two variances. Three against three that
are all separated have [0.29, 1], not [1, 1].
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.optimize import brentq
from scipy.stats import rankdata, t

from eval.metrics.effective_trials import TAIL, Limits

METHOD = "Newcombe's method 5 with DeLong's variance"
FEW_IMAGES = f"{METHOD} (few images on a side, or few out of order: covers at least 95%)"

_ENOUGH = 30
_ENOUGH_MISPLACED = 5


class _Variance(NamedTuple):
    area: float
    value: float
    freedom: float


def auroc_limits(
    inside: Float64[np.ndarray, " inside"], outside: Float64[np.ndarray, " outside"]
) -> Limits:
    """95% interval of the share of pairs in which ``inside`` scores higher.

    Args:
        inside: scores of the images that should score higher, at least one.
        outside: scores of the others, at least one.
    """
    sizes = len(inside), len(outside)
    found = _delong(inside, outside)
    area, factor = found.area, 1.0
    if 0 < area < 1 and found.value > 0:
        factor = found.value / _hanley_mcneil(area, *sizes)
    misplaced = min(sizes) * min(area, 1 - area)
    is_few = min(sizes) < _ENOUGH or misplaced < _ENOUGH_MISPLACED
    method = FEW_IMAGES if is_few else METHOD
    if is_few:
        factor = max(1.0, factor)
    quantile = float(t.ppf(1 - TAIL, found.freedom))

    def contradiction(theta: float) -> float:
        return (area - theta) ** 2 - quantile**2 * factor * _hanley_mcneil(theta, *sizes)

    ends = []
    for end in (0.0, 1.0):
        # V is 0 at both ends, so there is a root between the area and each, unless it is the area.
        near = end + (0.5 - end) * 1e-9
        inner = min(max(area, 1e-12), 1 - 1e-12)
        crosses = area != end and contradiction(near) > 0 > contradiction(inner)
        root: Any = brentq(contradiction, near, inner) if crosses else end
        ends.append(float(root))
    return Limits(min(ends[0], area), max(ends[1], area), method)


def _delong(inside: np.ndarray, outside: np.ndarray) -> _Variance:
    """Area, its variance and degrees of freedom, by ranks (Sun and Xu 2014)."""
    m, n = len(inside), len(outside)
    ranks = rankdata(np.concatenate([inside, outside]))
    of_inside = (ranks[:m] - rankdata(inside)) / n
    of_outside = 1 - (ranks[m:] - rankdata(outside)) / m
    area = float(of_inside.mean())
    parts = [
        float(own.var(ddof=1)) / len(own) if len(own) > 1 else 0.0
        for own in (of_inside, of_outside)
    ]
    total = sum(parts)
    below = sum(part**2 / (size - 1) for part, size in zip(parts, (m, n), strict=True) if size > 1)
    freedom = total**2 / below if below > 0 else float(m + n - 2)
    return _Variance(area, total, max(freedom, 1.0))


def _hanley_mcneil(theta: float, m: int, n: int) -> float:
    size = (m + n) / 2 - 1
    parts = 1 + size * (1 - theta) / (2 - theta) + size * theta / (1 + theta)
    return theta * (1 - theta) * parts / (m * n)
