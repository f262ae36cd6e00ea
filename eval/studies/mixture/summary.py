"""All figures of a study in one JSON-ready object; tables, plots and benchmarks read it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.errors import EvaluationError
from eval.studies.estimates import Estimate
from eval.studies.mixture.lines import Scale, as_accuracy
from eval.studies.mixture.records import CellRecord, tests_of
from eval.studies.mixture.settings import Mixture
from eval.studies.mixture.statistics import INTERVALS, MixtureStatistics

#: Raised whenever a key changes its meaning.
VERSION = 1


def summarise(
    records: Sequence[CellRecord],
    *,
    reference: str | None = None,
    scale: Scale = "logit",
    seed: int = 0,
) -> dict[str, Any]:
    """Every figure of a study; shares in [0, 1], undefined ones null.

    Args:
        records: of the finished runs.
        reference: test that accuracies are compared against; None: the first.
        scale: of the axes of the lines.
        seed: of all draws.
    Raises:
        EvaluationError: there is no such test.
    """
    tests = tests_of(records)
    reference = reference or tests[0]
    if reference not in tests:
        raise EvaluationError(f"no test '{reference}' in the study; there are: {', '.join(tests)}")
    statistics = MixtureStatistics(records, reference=reference, scale=scale, seed=seed)
    first = records[0].result
    return {
        "version": VERSION,
        "settings": first["settings"],
        "environment": first.get("environment", {}),
        "commits": sorted({record.result["environment"]["commit"] for record in records}),
        "num_runs": len(records),
        "bootstrap_seed": seed,
        "intervals": INTERVALS,
        "scale": scale,
        "reference": reference,
        "level": as_accuracy(statistics.level, scale),
        "tests": {
            name: {"pictures": statistics.sizes[name], **told}
            for name, told in first["tests"].items()
        },
        "shifts": [name for name in tests if name != reference],
        "pairs": first["pairs"],
        "mixtures": [mixture.name for mixture in statistics.mixtures],
        "results": {
            mixture.name: _results(statistics, records, mixture) for mixture in statistics.mixtures
        },
    }


def _results(
    statistics: MixtureStatistics, records: Sequence[CellRecord], mixture: Mixture
) -> dict[str, Any]:
    own = [record.result for record in records if record.cell.mixture == mixture]
    shifts = [name for name in statistics.tests if name != statistics.reference]
    return {
        "shares": dict(mixture.shares),
        "seeds": statistics.seeds(mixture),
        "samples_seen": own[0]["samples_seen"],
        "passes": own[0]["passes"],
        "mean_seconds": round(float(np.mean([result["seconds"] for result in own])), 1),
        "accuracy": {name: statistics.last(mixture, name).to_dict() for name in statistics.tests},
        "lines": {name: _line(statistics, mixture, name) for name in shifts},
        "predictions": {name: _prediction(statistics, mixture, name) for name in shifts},
    }


def _line(statistics: MixtureStatistics, mixture: Mixture, test: str) -> dict[str, Any] | None:
    found = statistics.line(mixture, test)
    if found is None:
        return None
    return {
        "slope": found.slope.to_dict(),
        "intercept": found.intercept.to_dict(),
        "accuracy_at_level": found.accuracy.to_dict(),
        "r2": found.r2 if math.isfinite(found.r2) else None,
        "points": found.points.tolist(),
    }


def _prediction(
    statistics: MixtureStatistics, mixture: Mixture, test: str
) -> dict[str, Any] | None:
    found = statistics.prediction(mixture, test)
    if found is None:
        return None
    parts: dict[str, Estimate] = found._asdict()
    return {name: one.to_dict() for name, one in parts.items()}
