"""Cohen's kappa: how far two judges agree beyond chance (Cohen 1960)."""

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.effective_trials import ALL_EQUAL, POINTS, TAIL, Limits
from eval.metrics.intervals import scored
from eval.metrics.labelling import confusion
from eval.metrics.resampling import cell_draws, resampled_limits
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
    table = confusion(first, second, num_answers)
    value = float(_kappas(table[None])[0])
    if np.isnan(value):
        return None
    drawn = np.concatenate(
        [
            _kappas(batch.reshape(-1, num_answers, num_answers))
            for batch in cell_draws(table.ravel(), seed=seed)
        ]
    )
    limits = (
        _perfect_limits(table)
        if value == 1
        else resampled_limits(value, drawn, units=float(len(first)), bounds=POINTS)
    )
    return scored(value, limits, len(first), unit="number")


def _perfect_limits(table: Int64[np.ndarray, "answers answers"]) -> Limits:
    """Judges who always agreed may differ on a share q of items: kappa falls by q / (1 - e)."""
    total = table.sum()
    expected = float((table.sum(axis=0) * table.sum(axis=1)).sum() / total**2)
    q = 1 - TAIL ** (1 / float(total))
    return Limits(max(-1.0, 1 - q / (1 - expected)), 1.0, ALL_EQUAL)


def _kappas(
    tables: Int64[np.ndarray, "tables answers answers"],
) -> Float64[np.ndarray, " tables"]:
    """Kappa of each table; NaN where both judges always gave one and the same answer."""
    total = tables.sum(axis=(1, 2))
    expected = (tables.sum(axis=1) * tables.sum(axis=2)).sum(axis=1) / total**2
    agreed = np.trace(tables, axis1=1, axis2=2) / total
    known = expected < 1
    return np.divide(agreed - expected, 1 - expected, out=np.full(len(tables), np.nan), where=known)
