"""Which mismatched pairs a run has noticed: by its noise probabilities, or by its cosines.

Methods that estimate no probability get a detector made of their last model: AUROC ranks by the
cosine of a pair, and probabilities come from a free two-component mixture over 1 - cosine, as in
equation 2 of RDE. The same detector on the common start is the "zero-shot cosine" of the
specification. Intervals: pairs are drawn with replacement, clean and mismatched ones apart, for
each seed; of several seeds the lowest and the highest end are shown, wider than 95% needs.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from eval.metrics.noise_detection import noise_detection_scores
from eval.studies.estimates import Estimate
from eval.studies.noise.methods import METHODS
from eval.studies.noise.records import CellRecord
from vlsuite.objectives.division import fit_mixture

INTERVALS = (
    "mean over seeds; lowest and highest end of the seeds' own 95% bootstrap intervals over pairs, "
    "clean and mismatched ones apart"
)
FIGURES = ("auroc", "average_precision", "f1", "false_flag_rate", "ece", "rate_error")
_RANKED = ("auroc", "average_precision")

PROBABILITY, COSINE = "noise probability", "cosine of the last model"


class Detection(NamedTuple):
    """Detection of one run.

    Attributes:
        scored_by: ``PROBABILITY`` or ``COSINE``.
        figures: value, low and high by name; those that the truth allows.
        estimated_rate: share of pairs taken for mismatched.
    """

    scored_by: str
    figures: dict[str, tuple[float, float, float]]
    estimated_rate: float


def detect(record: CellRecord, *, seed: int = 0) -> Detection | None:
    """By the method's own estimate; None for an oracle, which sees clean pairs only."""
    if not len(record.is_mismatched):
        return None
    known = np.isfinite(record.noise_probability)
    noise = record.noise_probability[known].astype(np.float64)
    if not known.any():
        if record.noise_share is None or not _divides(record.cell.method):
            return _by_cosine(record.pair_cosines, record.is_mismatched, seed=seed)
        # a division that abstained to the end, which older runs recorded as no probability
        known, noise = ~known, np.zeros(len(known))
    share = float(noise.mean()) if record.noise_share is None else record.noise_share
    scores = noise_detection_scores(
        np.clip(1.0 - noise, 0, 1), record.is_mismatched[known], seed=seed, estimated_rate=share
    )
    return Detection(PROBABILITY, {n: (s.value, s.low, s.high) for n, s in scores.items()}, share)


def _divides(method: str) -> bool:
    return getattr(METHODS[method].objective(), "divide", True)


def detect_at_start(record: CellRecord, *, seed: int = 0) -> Detection | None:
    """By the cosines of the common start; None where there is none."""
    if not len(record.is_mismatched):
        return None
    return _by_cosine(record.start_cosines, record.is_mismatched, seed=seed)


def mean_detection(
    found: Sequence[Detection], *, against: Sequence[Detection | None] = ()
) -> Mapping[str, Estimate]:
    """Means over seeds, with the estimated rate.

    Args:
        found: one a seed.
        against: adds ``auroc_gain``, the AUROC beyond that of these, seed by seed; its ends are
            the least and the greatest gain of a seed.
    """
    means = {}
    for name in FIGURES:
        rows = [one.figures[name] for one in found if name in one.figures]
        if rows:
            ends = [low for _, low, _ in rows], [high for _, _, high in rows]
            means[name] = _mean([value for value, _, _ in rows], *ends)
    rates = [one.estimated_rate for one in found if math.isfinite(one.estimated_rate)]
    gains = [
        one.figures["auroc"][0] - other.figures["auroc"][0]
        for one, other in zip(found, against, strict=False)
        if other is not None and "auroc" in one.figures and "auroc" in other.figures
    ]
    for name, values in (("estimated_rate", rates), ("auroc_gain", gains)):
        if values:
            means[name] = _mean(values, values, values)
    return means


def _mean(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> Estimate:
    """With the outermost ends; none where nothing was drawn."""
    low, high = min(lows), max(highs)
    if low == high:
        low = high = math.nan
    return Estimate(float(np.mean(values)), low, high, len(values))


def _by_cosine(
    cosines: np.ndarray, is_mismatched: Bool[np.ndarray, " pairs"], *, seed: int
) -> Detection | None:
    known = np.isfinite(cosines)
    if not known.any():
        return None
    own, wrong = np.clip(cosines[known].astype(np.float64), -1, 1), is_mismatched[known]
    figures: dict[str, tuple[float, float, float]] = {}
    if wrong.any() and not wrong.all():
        ranked = noise_detection_scores((1 + own) / 2, wrong, seed=seed)
        figures = {n: (s.value, s.low, s.high) for n, s in ranked.items() if n in _RANKED}
    noise = _mixture_probability(1 - own)
    if noise is None:
        return Detection(COSINE, figures, math.nan)
    scores = noise_detection_scores(1 - noise, wrong, seed=seed)
    figures |= {n: (s.value, s.low, s.high) for n, s in scores.items() if n not in _RANKED}
    return Detection(COSINE, figures, float(noise.mean()))


def _mixture_probability(distances: Float64[np.ndarray, " pairs"]) -> np.ndarray | None:
    mixture = fit_mixture(distances, np.zeros(0), fit="free")
    return None if mixture is None else np.clip(mixture.noise_probability(distances), 0, 1)
