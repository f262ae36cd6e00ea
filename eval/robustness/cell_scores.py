"""Scores of corruption and severity cells that show the same source pictures.

Intervals draw source pictures, each with all its corrupted forms: those succeed and fail together.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int64

from eval.data.image_folders import CORRUPTIONS
from eval.metrics.alexnet_error import ALEXNET_CLEAN_ERROR, ALEXNET_ERROR, NUM_SEVERITIES
from eval.metrics.corruption_error import (
    corruption_error,
    mce_score,
)
from eval.metrics.intervals import cluster_bootstrap_score, mean_score
from eval.results import PerUnit, Score

#: What tables call the scores over all cells.
ERROR_TITLES = {
    "mean_corruption_error": "mCE",
    "relative_mean_corruption_error": "relative mCE",
}

_SEVERITIES = range(1, NUM_SEVERITIES + 1)


class Cells:
    """Hits of pictures in cells.

    Args:
        hits: whether each picture is right.
        cells: corruption (place in ``CORRUPTIONS``) and severity of each.
        sources: number of the picture it was made of.
    """

    def __init__(
        self,
        hits: Bool[np.ndarray, " images"],
        cells: Int64[np.ndarray, "images 2"],
        sources: Int64[np.ndarray, " images"],
    ) -> None:
        self._hits = hits
        self._cells = cells
        self._sources = sources

    def accuracy(self) -> dict[str, dict[str, float]]:
        """By corruption and severity; without the cells that have no pictures."""
        found: dict[str, dict[str, float]] = {}
        for name in CORRUPTIONS:
            for severity in _SEVERITIES:
                chosen = self._in(name, severity)
                if len(chosen):
                    found.setdefault(name, {})[str(severity)] = float(self._hits[chosen].mean())
        return found

    def absent(self) -> list[str]:
        """Cells of mCE that have no pictures ("fog/3")."""
        known = self.accuracy()
        cells = [(name, str(severity)) for name in ALEXNET_ERROR for severity in _SEVERITIES]
        return [f"{name}/{level}" for name, level in cells if level not in known.get(name, {})]

    def top1(self, *, seed: int) -> dict[str, Score]:
        """Accuracy under each corruption, all severities together."""
        found: dict[str, Score] = {}
        for number, name in enumerate(CORRUPTIONS):
            chosen = self._cells[:, 0] == number
            if chosen.any():
                hits, sources = self._hits[chosen], self._sources[chosen]
                found[f"top1_{name}"] = cluster_bootstrap_score(hits, sources, seed=seed)
        return found

    def mean_top1(self, names: Sequence[str], *, seed: int) -> Score | None:
        """Accuracy over all cells of some corruptions, cells weighing alike; None without any."""
        chosen = np.isin(self._cells[:, 0], [CORRUPTIONS.index(name) for name in names])
        if not chosen.any():
            return None
        return cluster_bootstrap_score(self._hits[chosen], self._sources[chosen], seed=seed)

    def per_unit(self, corruptions: Sequence[str]) -> dict[str, PerUnit]:
        """What each picture adds to ``top1`` and, under its name there, to ``mean_top1``."""
        found = {"mean_corrupted_top1": self._units(corruptions)} if corruptions else {}
        found |= {f"top1_{name}": self._units([name]) for name in CORRUPTIONS}
        return {name: units for name, units in found.items() if units is not None}

    def _units(self, names: Sequence[str]) -> PerUnit | None:
        chosen = np.isin(self._cells[:, 0], [CORRUPTIONS.index(name) for name in names])
        return PerUnit.pack(self._hits[chosen], self._sources[chosen]) if chosen.any() else None

    def errors(self, clean: Score | None, *, seed: int) -> dict[str, Score]:
        """mCE, relative mCE where a clean accuracy is given, and CE of each corruption.

        Over the source pictures that are in all 75 cells; nothing where there are none.
        """
        is_wrong = self._wrong_in_all_cells()
        if is_wrong is None:
            return {}
        errors = {name: wrong.mean(axis=1).tolist() for name, wrong in is_wrong.items()}
        found = {"mean_corruption_error": _ratio(mce_score(is_wrong, seed=seed))}
        if clean is not None:
            found["relative_mean_corruption_error"] = _ratio(_relative(is_wrong, clean, seed=seed))
        for name, ce in corruption_error(errors).ce.items():
            wrong, alexnet = is_wrong[name], ALEXNET_ERROR[name] / 100
            who = np.tile(np.arange(wrong.shape[1]), NUM_SEVERITIES)
            share = cluster_bootstrap_score(wrong.ravel(), who, seed=seed)
            low, high = share.low / alexnet, share.high / alexnet
            n = wrong.shape[1]
            found[f"corruption_error_{name}"] = _ratio(Score(ce, low, high, n, method=share.method))
        return found

    def _in(self, name: str, severity: int) -> Int64[np.ndarray, " chosen"]:
        number = CORRUPTIONS.index(name)
        return np.flatnonzero((self._cells[:, 0] == number) & (self._cells[:, 1] == severity))

    def _wrong_in_all_cells(self) -> dict[str, np.ndarray] | None:
        """[severities, pictures] for each of the 15, the same pictures in the same order."""
        chosen = {name: [self._in(name, s) for s in _SEVERITIES] for name in ALEXNET_ERROR}
        common = np.unique(self._sources)
        for own in chosen.values():
            for rows in own:
                common = np.intersect1d(common, self._sources[rows])
        if not len(common):
            return None
        return {
            name: np.stack([self._wrong(rows, common) for rows in own])
            for name, own in chosen.items()
        }

    def _wrong(self, rows: np.ndarray, common: np.ndarray) -> Bool[np.ndarray, " common"]:
        sources, first = np.unique(self._sources[rows], return_index=True)
        return ~self._hits[rows[first[np.isin(sources, common)]]]


def _relative(is_wrong: dict[str, np.ndarray], clean: Score, *, seed: int) -> Score:
    """Relative mCE = a mean over pictures minus a multiple of the clean error.

    The two intervals add in quadrature, as for independent figures; pictures that are easy clean
    are easy corrupted, so this one is on the wide side.
    """
    scale = {name: (error - ALEXNET_CLEAN_ERROR) / 100 for name, error in ALEXNET_ERROR.items()}
    parts = np.mean([is_wrong[name].mean(axis=0) / scale[name] for name in scale], axis=0)
    most = float(np.mean([1 / own for own in scale.values()]))
    corrupted = mean_score(parts, np.arange(len(parts)), seed=seed, bounds=(0.0, most))
    value = corrupted.value - most * (1 - clean.value)
    below = math.hypot(corrupted.value - corrupted.low, most * (clean.value - clean.low))
    above = math.hypot(corrupted.high - corrupted.value, most * (clean.high - clean.value))
    method = f"MOVER of {corrupted.method} and {clean.method}"
    return Score(value, value - below, value + above, corrupted.n, method=method)


def _ratio(score: Score) -> Score:
    return replace(score, unit="ratio", lower_is_better=True)
