"""What the detection study is held to, judged; misses are listed as misses.

A verdict on heads needs ``LEAST_SEEDS`` seeds of them (why: ``benchmarks.support.noise_goals``).
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from eval.studies.tables import Table, as_text

#: Seeds behind a verdict on heads, at least.
LEAST_SEEDS = 3

#: AP50 that a head without any knowledge of the names may reach by the order of its boxes alone.
CHANCE = 0.02
#: Minutes on two idle cores.
MOST_MINUTES = 30.0

_ORDER = ("supervised", "text", "image", "vild", "ensemble")


class Goal(NamedTuple):
    """One requirement and what was found.

    Attributes:
        item: what is measured.
        bar: in words.
        found: None where it was not measured.
        low: lower end of its interval, where the bar asks for it.
        is_met: None where not measured or not judged.
        seeds: of the heads behind it; None where no head is.
    """

    item: str
    bar: str
    found: float | None
    is_met: bool | None
    low: float | None = None
    seeds: int | None = None

    @property
    def verdict(self) -> str:
        """``yes``, ``no``, ``not measured``, or ``not judged`` and why."""
        if self.is_met is not None:
            return "yes" if self.is_met else "no"
        if self.found is None:
            return "not measured"
        return f"not judged: {self.seeds} of {LEAST_SEEDS} seeds"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        rounded = {
            name: None if value is None else round(value, 5)
            for name, value in (("found", self.found), ("low", self.low))
        }
        return {"item": self.item, "bar": self.bar, **rounded, "met": self.verdict}


class _Bar(NamedTuple):
    kind: Literal["most", "least", "above"]
    level: float
    excludes_zero: bool = False

    def __str__(self) -> str:
        sign = {"most": "<=", "least": ">=", "above": ">"}[self.kind]
        return f"{sign} {self.level:g}" + (", interval above 0" if self.excludes_zero else "")

    def holds(self, value: float, low: float | None) -> bool:
        is_right = {
            "most": value <= self.level,
            "least": value >= self.level,
            "above": value > self.level,
        }[self.kind]
        return is_right and (not self.excludes_zero or (low is not None and low > 0))


def judged(summary: Mapping[str, Any]) -> list[Goal]:
    """All goals.

    Args:
        summary: of ``eval.studies.detection.summary``.
    """
    results, differences = summary["results"], summary["differences"]

    def score(mode: str, group: str) -> Mapping[str, Any] | None:
        return results[mode]["ap50"][group] if mode in results else None

    def gap(first: str, second: str, group: str) -> Mapping[str, Any] | None:
        return differences.get(f"{first} - {second}", {}).get(group)

    return [
        _of_heads("supervised, novel AP50", _Bar("most", 0.005), score("supervised", "novel")),
        *[
            _of_heads(
                f"{second} - {first}, novel AP50",
                _Bar("least" if second == "ensemble" else "above", 0.0),
                gap(second, first, "novel"),
            )
            for first, second in itertools.pairwise(_ORDER)
        ],
        _of_heads(
            "vild - text, novel AP50", _Bar("least", 0.10, True), gap("vild", "text", "novel")
        ),
        _of_heads(
            "ensemble - text, base AP50", _Bar("least", -0.03), gap("ensemble", "text", "base")
        ),
        _plain("teacher's novel top-1", _Bar("least", 0.60), summary["teacher_top1"]["novel"]),
        _plain("novel AR@100 / base AR@100", _Bar("least", 0.80), _ratio(summary["proposals"])),
        _plain(
            "ViLD-image on shuffled vectors, novel AP50",
            _Bar("most", CHANCE),
            _value(summary["shuffled"]["novel"]),
        ),
        *[
            _plain(
                f"{mode}, permuted novel names, novel AP50",
                _Bar("most", CHANCE),
                _value(results[mode]["permuted_novel"]),
            )
            for mode in ("vild", "ensemble")
            if mode in results
        ],
        _plain(
            "wall clock, minutes",
            _Bar("most", MOST_MINUTES),
            summary["wall_clock_seconds"] / 60 if summary["wall_clock_seconds"] else None,
        ),
    ]


def goal_table(goals: Sequence[Goal]) -> str:
    """As text, with a count of the verdicts."""
    rows = [
        (goal.item, goal.bar, "-" if goal.found is None else f"{goal.found:.3f}", goal.verdict)
        for goal in goals
    ]
    num_met = sum(goal.verdict == "yes" for goal in goals)
    table = as_text(Table("Goals", "", ("item", "bar", "found", "met"), rows))
    return f"{table}\nMet: {num_met} of {len(goals)}."


def _of_heads(item: str, bar: _Bar, found: Mapping[str, Any] | None) -> Goal:
    if found is None or found["value"] is None:
        return Goal(item, str(bar), None, None)
    is_judged = found["seeds"] >= LEAST_SEEDS
    is_met = bar.holds(found["value"], found["low"]) if is_judged else None
    return Goal(item, str(bar), found["value"], is_met, found["low"], found["seeds"])


def _plain(item: str, bar: _Bar, value: float | None) -> Goal:
    return Goal(item, str(bar), value, None if value is None else bar.holds(value, None))


def _ratio(recalls: Mapping[str, float]) -> float | None:
    return recalls["novel"] / recalls["base"] if recalls["base"] else None


def _value(found: Mapping[str, Any] | None) -> float | None:
    return None if found is None else found["value"]
