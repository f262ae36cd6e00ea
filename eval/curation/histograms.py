"""How the numbers that a rule judged are spread, on either side of its threshold."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from data_pipelines.curation.filter import quoted
from eval.curation.work import Judged, Work

_BINS = 48

#: Share of the samples at either end that may lie outside of the plot, in its last bins.
_TAIL = 0.005

#: A plot of positive numbers over so many times their least is logarithmic.
_WIDE = 200.0


class Histogram(NamedTuple):
    """Counts of samples given to a stage.

    Attributes:
        judged: what was judged.
        edges: of the bins, one more than those; what lies outside counts in the last ones.
        kept: by the stage; None where their numbers are not known.
        others: dropped by other rules of the stage.
        dropped: by this rule.
        is_logarithmic: edges grow by a factor.
    """

    judged: Judged
    edges: tuple[float, ...]
    kept: tuple[int, ...] | None
    others: tuple[int, ...]
    dropped: tuple[int, ...]
    is_logarithmic: bool


def histograms(work: Work) -> Iterator[Histogram]:
    """One for each rule that judged a number, of the samples that its stage was given."""
    for judged in work.judged:
        found = _histogram(work, judged)
        if found is not None:
            yield found


def _histogram(work: Work, judged: Judged) -> Histogram | None:
    is_here = f"stage = {judged.stage}"
    is_dropped = f"coalesce({is_here} AND reason = {quoted(judged.reason)}, false)"
    side = f"CASE WHEN {is_dropped} THEN 2 WHEN {is_here} THEN 1 ELSE 0 END"
    value = judged.column or "value"
    given = f"coalesce(stage, {1 << 20}) >= {judged.stage}" if judged.column else is_dropped
    source = f"FROM samples WHERE {given} AND isfinite({value})"
    number, low, high, least, is_whole = work.rows(
        f"""SELECT count(*), quantile_cont({value}, {_TAIL}), quantile_cont({value}, {1 - _TAIL}),
            min({value}), bool_and({value} = floor({value})) {source}"""
    )[0]
    if not number:
        return None
    edges, is_logarithmic = _edges(low, high, least, judged.threshold, is_whole=is_whole)
    first, last = (math.log(e) if is_logarithmic else e for e in (edges[0], edges[-1]))
    bins = len(edges) - 1
    place = f"ln({value})" if is_logarithmic else value
    rows = work.rows(
        f"""SELECT least({bins - 1}, greatest(0, floor(({place} - {first!r})
                / {(last - first) / bins!r})))::INTEGER AS bin, {side}, count(*)
            {source} GROUP BY 1, 2"""
    )
    sides = [[0] * bins for _ in range(3)]
    for number, which, count in rows:
        sides[which][number] = count
    return Histogram(
        judged=judged,
        edges=edges,
        kept=tuple(sides[0]) if judged.column else None,
        others=tuple(sides[1]),
        dropped=tuple(sides[2]),
        is_logarithmic=is_logarithmic,
    )


def _edges(
    low: float, high: float, least: float, threshold: float | None, *, is_whole: bool
) -> tuple[tuple[float, ...], bool]:
    """Edges of the bins, the threshold within, and whether they grow by a factor."""
    if threshold is not None and math.isfinite(threshold):
        low, high = min(low, threshold), max(high, threshold)
    if is_whole and high - low < _BINS:
        first, last = math.floor(low), math.ceil(high)
        return tuple(edge - 0.5 for edge in range(first, last + 2)), False
    if low == high:
        low, high = low - 0.5, high + 0.5
    if low > 0 and least > 0 and high / low > _WIDE:
        step = math.log(high / low) / _BINS
        return tuple(low * math.exp(step * i) for i in range(_BINS + 1)), True
    return tuple(low + (high - low) * i / _BINS for i in range(_BINS + 1)), False
