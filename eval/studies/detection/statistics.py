"""Figures of a detection study with intervals over seeds of the heads and pictures.

All heads were judged on one set, and a draw of the bootstrap takes the same pictures for every one;
another takes the seeds, the same for all modes that have the same. Differences are computed within
a draw, so they are paired by both. Scenes, teacher and localizer are one of each: the intervals do
not cover another of these.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from eval.detection.scores import NUM_DRAWN
from eval.metrics.effective_trials import SHARE, Bounds
from eval.studies.detection.measures import Measures
from eval.studies.detection.settings import Cell
from eval.studies.estimates import Estimate, Part, estimate, seed_weights

INTERVALS = (
    f"95% Student's t (AP: Korn-Graubard), variance of {NUM_DRAWN:,} bootstrap draws of the "
    "pictures and of the heads' seeds, paired by both; crop has no seeds. Scenes, teacher and "
    "localizer are one of each."
)


class Statistics:
    """What the heads of a study amount to.

    Args:
        measures: by head.
        num_pictures: that they were judged on.
        seed: of the draws of seeds.
    """

    def __init__(
        self, measures: Mapping[Cell, Measures], *, num_pictures: int, seed: int = 0
    ) -> None:
        self._measures = dict(measures)
        self._num_pictures, self._seed = num_pictures, seed

    def seeds(self, mode: str, vectors: str = "own") -> list[int]:
        """Of the finished heads."""
        return sorted(c.seed for c in self._measures if (c.mode, c.vectors) == (mode, vectors))

    def ap50(self, mode: str, group: str, *, vectors: str = "own") -> Estimate | None:
        """Mean over seeds; None where no head is finished."""
        return self._combined([(mode, vectors, 1.0)], group, SHARE)

    def difference(self, first: str, second: str, group: str) -> Estimate | None:
        """First minus second of two modes, over the seeds that both have."""
        return self._combined([(first, "own", 1.0), (second, "own", -1.0)], group, None)

    def gain(self, mode: str, vectors: str, group: str) -> Estimate | None:
        """Other vectors of the teacher minus its own, in one mode."""
        return self._combined([(mode, vectors, 1.0), (mode, "own", -1.0)], group, None)

    def permuted(self, mode: str) -> Estimate | None:
        """Novel AP50 under permuted novel names; over seeds alone."""
        own = [
            m.permuted for c, m in self._measures.items() if (c.mode, c.vectors) == (mode, "own")
        ]
        if not own:
            return None
        parts = (Part(seed_weights(len(own), self._seed) @ np.array(own), len(own)),)
        return estimate(float(np.mean(own)), parts, len(own), SHARE)

    def _combined(
        self, terms: Sequence[tuple[str, str, float]], group: str, bounds: Bounds
    ) -> Estimate | None:
        """A sum of modes, each with a factor. A mode without seeds is the same in all of them."""
        seeded = [set(self.seeds(mode, vectors)) for mode, vectors, _ in terms if mode != "crop"]
        seeds = sorted(set.intersection(*seeded)) if seeded else [0]
        if not seeds or any(not self.seeds(mode, vectors) for mode, vectors, _ in terms):
            return None
        values = np.zeros(len(seeds))
        drawn: Float64[np.ndarray, " draws"] = np.zeros(1)
        for mode, vectors, factor in terms:
            cells = [Cell(mode, 0 if mode == "crop" else seed, vectors) for seed in seeds]  # type: ignore[arg-type]
            own = [self._measures[cell] for cell in cells]
            values += factor * np.array([one.ap50[group] for one in own])
            drawn = drawn + factor * np.mean([one.drawn[group] for one in own], axis=0)
        parts = [Part(drawn, self._num_pictures)]
        if len(seeds) > 1:
            parts.append(Part(seed_weights(len(seeds), self._seed) @ values, len(seeds)))
        return estimate(float(values.mean()), parts, len(seeds), bounds)
