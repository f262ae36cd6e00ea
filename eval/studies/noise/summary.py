"""All figures of a study in one JSON-ready object; tables, plots and benchmarks read it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval.studies.estimates import Estimate
from eval.studies.noise import detecting
from eval.studies.noise.detecting import Detection, detect, detect_at_start, mean_detection
from eval.studies.noise.methods import METHODS, oracle_of
from eval.studies.noise.records import SCORES, CellRecord
from eval.studies.noise.statistics import INTERVALS, Statistics

#: Raised whenever a key changes its meaning.
VERSION = 2

BASELINE = "infonce"
BEST_NOTE = (
    "Best: the evaluation with the highest text-to-image R@1 on the test set itself, as RDE's "
    "published Best is; no method that has only its training data can choose it."
)


def summarise(records: Sequence[CellRecord], *, seed: int = 0) -> dict[str, Any]:
    """Every figure of a study; shares in [0, 1], undefined ones null.

    Args:
        records: of the finished runs.
        seed: of all draws.
    """
    statistics = Statistics(records, seed=seed)
    own, at_start = _detections(records, seed)
    methods = [m for m in METHODS if m in statistics.methods]
    return {
        "version": VERSION,
        "settings": records[0].result["settings"],
        "environment": records[0].result.get("environment", {}),
        "commits": sorted({r.result["environment"]["commit"] for r in records}),
        "num_runs": len(records),
        "num_test": len(records[0].places["text_to_image"]),
        "bootstrap_seed": seed,
        "intervals": INTERVALS,
        "detection_intervals": detecting.INTERVALS,
        "best": BEST_NOTE,
        "methods": methods,
        "rates": statistics.rates,
        "results": {
            method: {
                rate_key(rate): _results(statistics, records, method, rate)
                | {"detection": _shown(own.get((method, rate)))}
                for rate in statistics.rates
                if statistics.seeds(method, rate)
            }
            for method in methods
        },
        "zero_shot_detection": {
            rate_key(rate): _shown(found) for rate, found in at_start.items() if found is not None
        },
    }


def detections(
    records: Sequence[CellRecord], *, seed: int = 0
) -> dict[tuple[str, float], Mapping[str, Estimate]]:
    """Mean figures of detection by method and rate."""
    return {key: found for key, (_, found) in _detections(records, seed)[0].items()}


def rate_key(rate: float) -> str:
    """A noise rate as a key: ``0.5``."""
    return f"{rate:g}"


def _results(
    statistics: Statistics, records: Sequence[CellRecord], method: str, rate: float
) -> dict[str, Any]:
    own = [r for r in records if (r.cell.method, r.cell.rate) == (method, rate)]
    scores = {
        score: {
            "last": _plain(statistics.last(method, rate, score)),
            "best": _plain(statistics.best(method, rate, score)),
            "start": _plain(statistics.start(method, rate, score)),
        }
        for score in SCORES
    }
    main = "r1_t2i"
    return {
        **scores,
        "seeds": statistics.seeds(method, rate),
        "lr": own[0].result.get("lr"),
        "best_minus_last": _plain(statistics.best_minus_last(method, rate)),
        "retention": _plain(statistics.retention(method, rate, main)),
        "oracle": oracle_of(method),
        "share_of_oracle": _plain(statistics.share_of_oracle(method, rate, main)),
        **_against_baseline(statistics, method, rate),
        "curve": _mean_curve(own, main),
        "has_start": own[0].has_start,
        "epochs": _epochs(own[0]),
        "pairs": own[0].result["num_pairs"],
        "steps": own[0].result["steps"],
        "mean_seconds": round(float(np.mean([r.result["seconds"] for r in own])), 1),
    }


def _against_baseline(statistics: Statistics, method: str, rate: float) -> dict[str, Any]:
    keys = {"against_infonce": False, "against_infonce_relative": True}
    if method == BASELINE:
        return dict.fromkeys(keys)
    found = {
        key: statistics.difference(method, BASELINE, rate, "r1_t2i", relative=relative)
        for key, relative in keys.items()
    }
    return {key: _plain(one) for key, one in found.items()}


def _mean_curve(records: Sequence[CellRecord], score: str) -> list[float]:
    length = min(len(record.curve[score]) for record in records)
    curves = np.array([record.curve[score][:length] for record in records])
    return curves.mean(axis=0).tolist()


def _epochs(record: CellRecord) -> list[float]:
    """Where each evaluation took place; the last one may come early or coincide."""
    count = len(record.curve["r1_t2i"]) - record.has_start
    between, steps = record.result["steps_between"], record.result["steps"]
    places = [min((i + 1) * between, steps) / between for i in range(count)]
    return [0.0, *places] if record.has_start else places


_Means = tuple[str, Mapping[str, Estimate]]


def _detections(
    records: Sequence[CellRecord], seed: int
) -> tuple[dict[tuple[str, float], _Means], dict[float, _Means | None]]:
    """By method and rate, and of the common start by rate."""
    starts: dict[tuple[float, int], Detection | None] = {}
    own: dict[tuple[str, float], list[tuple[Detection, Detection | None]]] = {}
    for record in records:
        found = detect(record, seed=seed)
        if found is None:
            continue
        cell = record.cell
        if (cell.rate, cell.seed) not in starts:
            starts[cell.rate, cell.seed] = detect_at_start(record, seed=seed)
        own.setdefault((cell.method, cell.rate), []).append((found, starts[cell.rate, cell.seed]))
    means = {
        key: (
            pairs[0][0].scored_by,
            mean_detection([one for one, _ in pairs], against=[start for _, start in pairs]),
        )
        for key, pairs in own.items()
    }
    return means, {rate: _mean_start(starts, rate) for rate in sorted({r for r, _ in starts})}


def _mean_start(starts: Mapping[tuple[float, int], Detection | None], rate: float) -> _Means | None:
    known = [one for (at, _), one in starts.items() if at == rate and one is not None]
    return ("cosine of the common start", mean_detection(known)) if known else None


def _shown(found: _Means | None) -> dict[str, Any] | None:
    if found is None:
        return None
    scored_by, means = found
    return {"scored_by": scored_by, **{name: e.to_dict() for name, e in means.items()}}


def _plain(found: Estimate | None) -> dict[str, Any] | None:
    return None if found is None else found.to_dict()
