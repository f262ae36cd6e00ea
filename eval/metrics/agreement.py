"""Cohen's kappa: how far two judges agree beyond chance (Cohen 1960)."""

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.effective_trials import ALL_EQUAL, POINTS, TAIL, Limits
from eval.metrics.intervals import scored
from eval.metrics.labelling import confusion
from eval.metrics.resampling import image_weights, resampled_limits
from eval.results import Score


def cohen_kappa(
    first: Int64[np.ndarray, " items"],
    second: Int64[np.ndarray, " items"],
    *,
    num_answers: int,
    seed: int = 0,
) -> Score | None:
    """(agreement - expected) / (1 - expected), in [-1, 1], with an interval over items.

    Args:
        first, second: answers of the judges to the same items, from 0.
        num_answers: how many different answers there are.
        seed: of the draws.
    Returns:
        None without items, or where both judges always gave one and the same answer.
    """
    if not len(first):
        return None
    value = _kappa(confusion(first, second, num_answers).astype(np.float64))
    if np.isnan(value):
        return None
    codes = first * num_answers + second
    drawn = np.array(
        [
            _kappa(np.bincount(codes, w, num_answers**2).reshape(num_answers, num_answers))
            for w in image_weights(len(codes), seed=seed)
        ]
    )
    table = confusion(first, second, num_answers).astype(np.float64)
    limits = (
        _perfect_limits(table)
        if value == 1
        else resampled_limits(value, drawn, units=float(len(first)), bounds=POINTS)
    )
    return scored(value, limits, len(first), unit="number")


def _perfect_limits(table: Float64[np.ndarray, "answers answers"]) -> Limits:
    """Judges who always agreed may differ on a share q of items: kappa falls by q / (1 - e)."""
    total = table.sum()
    expected = float((table.sum(axis=0) * table.sum(axis=1)).sum() / total**2)
    q = 1 - TAIL ** (1 / float(total))
    return Limits(max(-1.0, 1 - q / (1 - expected)), 1.0, ALL_EQUAL)


def _kappa(table: Float64[np.ndarray, "answers answers"]) -> float:
    total = table.sum()
    expected = float((table.sum(axis=0) * table.sum(axis=1)).sum() / total**2)
    if expected >= 1:
        return float("nan")
    return (float(np.trace(table) / total) - expected) / (1 - expected)
