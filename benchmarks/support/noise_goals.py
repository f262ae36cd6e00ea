"""What the noise study is held to, judged; misses are listed as misses.

A verdict needs ``LEAST_SEEDS`` seeds and, where shares of queries are compared, ``LEAST_HITS`` hits
a seed in each group (why: ``eval.studies.noise.statistics``). Two seeds leave one degree of freedom
for the spread between trainings, whose 95% interval is 12.7 standard errors wide to each side
(Student's t); three leave two, and 4.3. Below, the goal is "not judged".

Rows 8 (finite alignment loss), 9 (same division on two processes) and 12 (overhead) are measured
by benchmarks of their own, row 11 needs matching models and damaged captions.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from eval.studies.estimates import Estimate
from eval.studies.noise.figures import title_of
from eval.studies.noise.records import CellRecord
from eval.studies.noise.statistics import LEAST_HITS, Statistics
from eval.studies.noise.summary import detections
from eval.studies.tables import Table, as_text, number

#: Seeds behind a verdict, at least.
LEAST_SEEDS = 3

#: Methods that the goals are set for.
JUDGED = ("rde", "rde_global", "nitc", "nitc_weights")

_BASELINE, _SMOOTHING, _SCORE = "infonce", "label_smoothing", "r1_t2i"

Detections = Mapping[tuple[str, float], Mapping[str, Estimate]]


class Goal(NamedTuple):
    """One requirement and what was found.

    Attributes:
        row: number of the requirement.
        method: that is judged.
        item: what is measured.
        bar: in words.
        estimate: None where the runs that it needs are missing.
        is_met: None where not measured or not judged.
    """

    row: int
    method: str
    item: str
    bar: str
    estimate: Estimate | None
    is_met: bool | None

    @property
    def verdict(self) -> str:
        """``yes``, ``no``, ``not measured``, or ``not judged`` and what there is too little of."""
        if self.is_met is not None:
            return "yes" if self.is_met else "no"
        lack = None if self.estimate is None else _lack(self.estimate)
        return "not measured" if lack is None else f"not judged: {lack}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = None if self.estimate is None else self.estimate.to_dict()
        return {
            "row": self.row,
            "method": self.method,
            "item": self.item,
            "bar": self.bar,
            "found": found,
            "met": self.verdict,
        }


class _Bar(NamedTuple):
    kind: Literal["least", "most", "above"]
    level: float
    excludes_zero: bool = False

    def __str__(self) -> str:
        sign = {"least": "≥", "most": "≤", "above": ">"}[self.kind]
        return f"{sign} {self.level:g}" + (", interval excludes 0" if self.excludes_zero else "")

    def holds(self, found: Estimate) -> bool:
        ok = {
            "least": found.value >= self.level,
            "most": found.value <= self.level,
            "above": found.value > self.level,
        }[self.kind]
        return ok and (not self.excludes_zero or found.low > 0)


def judged_study(records: Sequence[CellRecord], *, seed: int = 0) -> list[Goal]:
    """The goals of a study.

    Args:
        records: of its finished runs.
        seed: of the draws.
    """
    return judge(Statistics(records, seed=seed), detections(records, seed=seed))


def judge(
    statistics: Statistics, found_detections: Detections, *, methods: Sequence[str] = JUDGED
) -> list[Goal]:
    """Rows 1 to 7 and 10 for the given methods.

    Args:
        statistics: of the study.
        found_detections: mean figures by method and rate.
        methods: that are judged, whether or not they were run.
    """
    goals = [
        Goal(row, method, item, str(bar), found, _met(bar, found))
        for method in methods
        for row, item, bar, found in _rows(statistics, found_detections, method)
    ]
    return sorted(goals, key=lambda goal: goal.row)


def goal_table(goals: Sequence[Goal]) -> str:
    """As text, with a count of the verdicts."""
    rows = [
        (
            str(goal.row),
            title_of(goal.method),
            goal.item,
            goal.bar,
            number(None if goal.estimate is None else goal.estimate.to_dict()),
            goal.verdict,
        )
        for goal in goals
    ]
    counts = Counter(goal.verdict.partition(":")[0] for goal in goals)
    said = ", ".join(f"{verdict}: {count}" for verdict, count in counts.items())
    header = ("row", "method", "item", "bar", "found", "met")
    return f"{as_text(Table('Goals', '', header, rows))}\nMet: {said}."


def _met(bar: "_Bar", found: Estimate | None) -> bool | None:
    return None if found is None or _lack(found) is not None else bar.holds(found)


def _lack(found: Estimate) -> str | None:
    """What a verdict would need more of."""
    if found.num_seeds < LEAST_SEEDS:
        return f"{found.num_seeds} of {LEAST_SEEDS} seeds"
    if found.hits is not None and found.hits < LEAST_HITS:
        return f"{found.hits:.0f} of {LEAST_HITS} hits a seed"
    return None if math.isfinite(found.value) else "undefined"


_Row = tuple[int, str, _Bar, Estimate | None]


def _rows(statistics: Statistics, detections: Detections, method: str) -> Iterator[_Row]:
    difference = statistics.difference
    yield (
        1,
        "R@1 T2I Last against InfoNCE at 0.5, relative",
        _Bar("least", 0.15, excludes_zero=True),
        difference(method, _BASELINE, 0.5, _SCORE, relative=True),
    )
    for rate, bar in ((0.2, 0.98), (0.5, 0.94), (0.8, 0.84)):
        kept = statistics.retention(method, rate, _SCORE)
        yield 2, f"retention R@1({rate:g}) / R@1(0)", _Bar("least", bar), kept
    gap = statistics.best_minus_last(method, 0.8)
    yield 3, "Best - Last at 0.8, share of queries", _Bar("most", 0.005), gap
    cost = difference(method, _BASELINE, 0.0, _SCORE)
    yield 4, "R@1 without noise against InfoNCE, share of queries", _Bar("least", -0.003), cost
    share = statistics.share_of_oracle(method, 0.5, _SCORE)
    yield 5, "share of the oracle's R@1 at 0.5", _Bar("least", 0.97), share
    yield from _detection_rows(_getter(detections, method), statistics.rates)
    if method.startswith("nitc"):
        yield (
            10,
            "R@1 T2I Last against constant smoothing at 0.5, share of queries",
            _Bar("least", 0.01, excludes_zero=True),
            difference(method, _SMOOTHING, 0.5, _SCORE),
        )


def _detection_rows(
    get: Callable[[float, str], Estimate | None], rates: Sequence[float]
) -> Iterator[_Row]:
    yield 6, "detection AUROC at 0.5", _Bar("least", 0.95), get(0.5, "auroc")
    yield 6, "detection F1 at 0.5", _Bar("least", 0.90), get(0.5, "f1")
    yield 6, "AUROC beyond zero-shot cosine at 0.5", _Bar("above", 0.0), get(0.5, "auroc_gain")
    yield 7, "false flags without noise", _Bar("most", 0.05), get(0.0, "false_flag_rate")
    for rate in [r for r in rates if r > 0] or [0.5]:
        error = get(rate, "rate_error")
        yield 7, f"|estimated - true rate| at {rate:g}", _Bar("most", 0.05), error


def _getter(detections: Detections, method: str) -> Callable[[float, str], Estimate | None]:
    return lambda rate, name: detections.get((method, rate), {}).get(name)
