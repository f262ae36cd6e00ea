"""Every goal can be met, missed, and not measured, and says which."""

from pathlib import Path

import pytest

from benchmarks.support.noise_goals import Goal, goal_table, judge, judged_study
from eval.studies.estimates import Estimate
from eval.studies.noise.records import load_cells
from eval.studies.noise.statistics import Statistics
from tests.support.noise_cells import places, write_cell

_ROWS = {1, 2, 3, 4, 5, 6, 7}


def _write(out: Path, method: str, shares: dict[float, float], *, best: float = 0.0) -> None:
    for rate, share in shares.items():
        for seed in range(3):
            write_cell(
                out, method, rate, seed, t2i=places(share, 1000, shift=seed), curve=[0.1, best]
            )


def _detected(auroc: float, f1: float, flags: float, error: float) -> dict:
    def one(value: float) -> Estimate:
        return Estimate(value, value, value, 3)

    noisy = {"auroc": one(auroc), "f1": one(f1), "auroc_gain": one(auroc - 0.9)}
    return {
        ("nitc", 0.0): {"false_flag_rate": one(flags)},
        ("nitc", 0.2): {"rate_error": one(error)},
        ("nitc", 0.5): noisy | {"rate_error": one(error)},
        ("nitc", 0.8): {"rate_error": one(error)},
    }


def _judged(out: Path, detections: dict) -> list[Goal]:
    return judge(Statistics(load_cells(out)), detections, methods=["nitc"])


def test_all_are_met(tmp_path: Path):
    _write(tmp_path, "infonce", {0.0: 0.40, 0.5: 0.20})
    _write(tmp_path, "label_smoothing", {0.5: 0.25})
    _write(tmp_path, "oracle", {0.5: 0.39})
    _write(tmp_path, "nitc", {0.0: 0.40, 0.2: 0.395, 0.5: 0.38, 0.8: 0.35}, best=0.352)
    goals = _judged(tmp_path, _detected(0.96, 0.93, 0.02, 0.03))
    assert {goal.row for goal in goals} == _ROWS | {10}
    assert [goal for goal in goals if not goal.is_met] == []
    first = goals[0].to_dict()
    assert first["met"] == "yes"
    assert first["found"]["value"] == pytest.approx(0.9)


def test_all_are_missed(tmp_path: Path):
    _write(tmp_path, "infonce", {0.0: 0.40, 0.5: 0.25})
    _write(tmp_path, "label_smoothing", {0.5: 0.28})
    _write(tmp_path, "oracle", {0.5: 0.39})
    _write(tmp_path, "nitc", {0.0: 0.39, 0.2: 0.30, 0.5: 0.27, 0.8: 0.10}, best=0.2)
    goals = _judged(tmp_path, _detected(0.89, 0.80, 0.12, 0.3))
    assert {goal.row for goal in goals} == _ROWS | {10}
    assert {goal.verdict for goal in goals} == {"no"}


def test_a_gain_that_could_be_chance_is_a_miss(tmp_path: Path):
    for seed in range(3):
        write_cell(tmp_path, "infonce", 0.5, seed, t2i=places(0.20, 260))
        write_cell(tmp_path, "nitc", 0.5, seed, t2i=places(0.24, 260, shift=130))
    first = _judged(tmp_path, {})[0]
    assert first.estimate is not None
    assert first.estimate.value == pytest.approx(0.2, abs=0.01)
    assert first.verdict == "no"


def test_five_hits_against_one_are_no_gain_of_400_percent(tmp_path: Path):
    """66 test pairs and one seed, and the same with three seeds."""
    for seed, lack in ((0, "1 of 3 seeds"), (2, "1 of 50 hits a seed")):
        for number in range(seed + 1):
            if not (tmp_path / "cells" / f"nitc-50-seed{number}").exists():
                write_cell(tmp_path, "infonce", 0.5, number, t2i=[0] + [7] * 65)
                write_cell(tmp_path, "nitc", 0.5, number, t2i=[0] * 5 + [7] * 61)
        records = load_cells(tmp_path)
        statistics = Statistics(records)
        relative = statistics.difference("nitc", "infonce", 0.5, "r1_t2i", relative=True)
        assert relative is not None
        assert relative.to_dict()["value"] is None
        absolute = statistics.difference("nitc", "infonce", 0.5, "r1_t2i")
        assert absolute is not None
        assert absolute.value == pytest.approx(4 / 66)
        goals = judged_study(records)
        assert not {goal.verdict for goal in goals} & {"yes", "no"}
        assert f"not judged: {lack}" in goal_table(goals)


def test_missing_runs_are_not_measured(tmp_path: Path):
    _write(tmp_path, "infonce", {0.5: 0.25})
    goals = judge(Statistics(load_cells(tmp_path)), {})
    assert {goal.method for goal in goals} == {"rde", "rde_global", "nitc", "nitc_weights"}
    assert {goal.verdict for goal in goals} == {"not measured"}
    assert all(goal.to_dict()["found"] is None for goal in goals)


@pytest.mark.parametrize("method", ["rde", "rde_global"])
def test_row_10_is_not_for_rde(tmp_path: Path, method: str):
    _write(tmp_path, "infonce", {0.5: 0.25})
    goals = judge(Statistics(load_cells(tmp_path)), {}, methods=[method])
    assert {goal.row for goal in goals} == _ROWS
