"""One number that repairs overconfidence: temperature scaling, fitted on a held-out half.

Guo et al. 2017, arXiv 1706.04599, section 4.2: logits are divided by the T that minimises the
NLL of held-out images. No prediction changes. NLL is convex in 1 / T, so Newton steps inside a
bracket find the one minimum.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from eval.errors import EvaluationError
from eval.metrics.calibration import LogitChunk

#: 1 / T is looked for between these; beyond them no model is meant.
LOWEST_SCALE, HIGHEST_SCALE = 1e-3, 1e3

_MAX_PASSES = 100
_CLOSE_ENOUGH = 1e-9  # relative, of 1 / T
_NOTHING = 1e-9  # nats an image: every image is right with certainty


class Temperature(NamedTuple):
    """A fitted temperature.

    Attributes:
        value: what to divide logits by.
        nll_before: nats an image on the fitting half with T = 1.
        nll_after: the same with the fitted T; never more than before.
        num_images: in the fitting half.
        has_minimum: False where every fitting image is right (NLL falls with T to nothing) or the
            logits say nothing about the labels (NLL falls as T grows, or is flat); the value is
            then as far as the search got, within [1/1000, 1000].
    """

    value: float
    nll_before: float
    nll_after: float
    num_images: int
    has_minimum: bool


class _Slope(NamedTuple):
    """Mean NLL at one scale, with its first and second derivative by the scale."""

    nll: float
    first: float
    second: float
    num_images: int


def seeded_half(uids: Sequence[str], *, seed: int) -> Bool[np.ndarray, " images"]:
    """Which images belong to the fitting half.

    Ids are ranked by the SHA-256 of seed and id and the first half of the different ids is taken:
    the choice depends on nothing but seed and ids, not on their order, and copies of one image
    stay on one side.

    Raises:
        EvaluationError: fewer than two different ids.
    """
    digests = [hashlib.sha256(f"{seed}:{uid}".encode()).digest() for uid in uids]
    distinct = sorted(set(digests))
    if len(distinct) < 2:
        raise EvaluationError(
            f"a temperature needs images to fit on and others to report on, and there are "
            f"{len(distinct)}; use a larger data set"
        )
    chosen = set(distinct[: len(distinct) // 2])
    return np.array([digest in chosen for digest in digests])


def fit_temperature(chunks: Callable[[], Iterable[LogitChunk]]) -> Temperature:
    """The temperature with the smallest NLL, in float64.

    Args:
        chunks: gives the logits and labels of the fitting half from the start each time it is
            called, about ten times; nothing is kept between chunks.
    Raises:
        EvaluationError: no images, or logits that are not finite.
    """
    before = _slope(chunks(), 1.0)
    low, high = LOWEST_SCALE, HIGHEST_SCALE
    scale, here = 1.0, before
    for _ in range(_MAX_PASSES):
        low, high = (scale, high) if here.first < 0 else (low, scale)
        newton = scale - here.first / here.second if here.second > 0 else np.nan
        # Outside the bracket, halve it on a logarithmic scale: it spans six decades.
        following = newton if low < newton < high else float(np.sqrt(low * high))
        has_settled = abs(following - scale) <= _CLOSE_ENOUGH * scale
        if has_settled or here.first == 0 or high - low <= _CLOSE_ENOUGH * high:
            break
        scale, here = following, _slope(chunks(), following)
    if not here.nll <= before.nll:
        scale, here = 1.0, before
    is_inside = LOWEST_SCALE * 1.001 < scale < HIGHEST_SCALE / 1.001
    has_minimum = is_inside and here.second > 0 and here.nll > _NOTHING
    return Temperature(1.0 / scale, before.nll, here.nll, before.num_images, has_minimum)


def _slope(chunks: Iterable[LogitChunk], scale: float) -> _Slope:
    """d NLL / d scale = mean of E_p[z] - z_y, and the second derivative is Var_p[z]."""
    totals, num_images = torch.zeros(3, dtype=torch.float64), 0
    for logits, labels in chunks:
        totals += _sums(logits, labels, scale).cpu()
        num_images += len(labels)
    if not num_images:
        raise EvaluationError("a temperature cannot be fitted on no images; check the data set")
    if not torch.isfinite(totals).all():
        raise EvaluationError(
            "some logits are NaN or infinite; check the model's weights, or evaluate in fp32"
        )
    nll, first, second = (totals / num_images).tolist()
    return _Slope(nll, first, second, num_images)


def _sums(logits: Tensor, labels: Tensor, scale: float) -> Tensor:
    scores = logits.double()
    scores = scores - scores.amax(dim=1, keepdim=True)
    own = scores.gather(1, labels[:, None])[:, 0]
    probabilities = torch.softmax(scale * scores, dim=1)
    mean = (probabilities * scores).sum(dim=1)
    variance = (probabilities * (scores - mean[:, None]).square()).sum(dim=1)
    nll = torch.logsumexp(scale * scores, dim=1) - scale * own
    return torch.stack([nll.sum(), (mean - own).sum(), variance.sum()])
