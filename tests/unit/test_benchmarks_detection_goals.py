"""Verdicts of the detection study on hand-made figures."""

import copy

import pytest

from benchmarks.support.detection_goals import goal_table, judged


def score(value: float, *, low: float | None = None, seeds: int = 3) -> dict:
    return {
        "value": value,
        "low": value - 0.02 if low is None else low,
        "high": 1.0,
        "seeds": seeds,
    }


def summary() -> dict:
    """Everything is met."""
    novel = {"supervised": 0.0, "text": 0.1, "image": 0.2, "vild": 0.25, "ensemble": 0.3}
    base = {"supervised": 0.6, "text": 0.6, "image": 0.3, "vild": 0.55, "ensemble": 0.58}
    pairs = [("text", "supervised"), ("image", "text"), ("vild", "image"), ("vild", "text"),
             ("ensemble", "vild"), ("ensemble", "text")]  # fmt: skip
    return {
        "results": {
            mode: {
                "ap50": {"novel": score(novel[mode]), "base": score(base[mode])},
                "permuted_novel": score(0.001),
            }
            for mode in novel
        },
        "differences": {
            f"{a} - {b}": {
                "novel": score(round(novel[a] - novel[b], 6)),
                "base": score(round(base[a] - base[b], 6)),
            }
            for a, b in pairs
        },
        "shuffled": {"novel": score(0.01, seeds=1), "base": score(0.01, seeds=1)},
        "teacher_top1": {"novel": 0.8, "base": 0.8},
        "proposals": {"novel": 0.5, "base": 0.6},
        "wall_clock_seconds": 1500.0,
    }


def verdicts(found: dict) -> dict[str, str]:
    return {goal.item: goal.verdict for goal in judged(found)}


def test_all_met():
    assert set(verdicts(summary()).values()) == {"yes"}
    assert "Met: 13 of 13." in goal_table(judged(summary()))


@pytest.mark.parametrize(
    ("path", "value", "item"),
    [
        (("results", "supervised", "ap50", "novel"), score(0.006), "supervised, novel AP50"),
        (("differences", "text - supervised", "novel"), score(0.0),
         "text - supervised, novel AP50"),
        (("differences", "vild - image", "novel"), score(-0.01), "vild - image, novel AP50"),
        (("differences", "ensemble - vild", "novel"), score(-0.001), "ensemble - vild, novel AP50"),
        (("differences", "vild - text", "novel"), score(0.099), "vild - text, novel AP50"),
        (("differences", "vild - text", "novel"), score(0.15, low=-0.01),
         "vild - text, novel AP50"),
        (("differences", "ensemble - text", "base"), score(-0.031), "ensemble - text, base AP50"),
        (("teacher_top1", "novel"), 0.59, "teacher's novel top-1"),
        (("proposals", "novel"), 0.47, "novel AR@100 / base AR@100"),
        (("shuffled", "novel"), score(0.021, seeds=1),
         "ViLD-image on shuffled vectors, novel AP50"),
        (("results", "vild", "permuted_novel"), score(0.021),
         "vild, permuted novel names, novel AP50"),
        (("wall_clock_seconds",), 1801.0, "wall clock, minutes"),
    ],
)  # fmt: skip
def test_each_can_be_missed(path, value, item):
    found = copy.deepcopy(summary())
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    told = verdicts(found)
    assert told.pop(item) == "no"
    assert set(told.values()) == {"yes"}


def test_equal_ensemble_is_enough():
    found = summary()
    found["differences"]["ensemble - vild"]["novel"] = score(0.0)
    assert set(verdicts(found).values()) == {"yes"}


def test_few_seeds_are_no_verdict():
    found = summary()
    found["differences"]["vild - text"]["novel"] = score(0.15, seeds=2)
    assert verdicts(found)["vild - text, novel AP50"] == "not judged: 2 of 3 seeds"


def test_what_was_not_run_is_not_measured():
    found = summary()
    del found["results"]["ensemble"], found["differences"]["ensemble - text"]
    assert verdicts(found)["ensemble - text, base AP50"] == "not measured"
