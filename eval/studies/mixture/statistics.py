"""Figures of a study with intervals over seeds and test pictures.

A draw of the bootstrap takes pictures of each test with replacement, the same for every run;
another takes the seeds, the same for all runs that have the same seeds. Lines are fitted anew in
each draw, and what compares mixtures is computed within a draw.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from eval.metrics.effective_trials import SHARE
from eval.metrics.intervals import NUM_RESAMPLES
from eval.studies.estimates import Estimate, Part, estimate, seed_weights
from eval.studies.mixture.lines import Scale, as_accuracy, explained, fitted, transformed
from eval.studies.mixture.records import CellRecord, tests_of
from eval.studies.mixture.settings import Cell, Mixture

INTERVALS = (
    f"95% Student's t (shares: Korn-Graubard), variance of {NUM_RESAMPLES:,} bootstrap draws of "
    "test pictures and of seeds, paired by both; with one seed over pictures alone."
)

#: Hits, and misses, of an evaluation that a line is fitted to, at least.
LEAST_HITS = 5

#: Points of a line, at least.
LEAST_POINTS = 3

_DRAWS_AT_ONCE = 100
_FIGURES = ("slope", "intercept", "height")


class Line(NamedTuple):
    """How accuracy on a test follows that on the reference, for one mixture.

    Attributes:
        slope, intercept: on the transformed axes.
        height: of the line at the common level of the reference, on the transformed axes.
        accuracy: the same as a share.
        r2: share of the variance that the line explains.
        points: transformed accuracies (reference, test) that it is fitted to.
    """

    slope: Estimate
    intercept: Estimate
    height: Estimate
    accuracy: Estimate
    r2: float
    points: Float64[np.ndarray, "points 2"]


class Prediction(NamedTuple):
    """What the sources alone let expect of their mixture: shares times their slopes and heights.

    Attributes:
        slope, height: expected.
        slope_residual, height_residual: measured minus expected.
    """

    slope: Estimate
    height: Estimate
    slope_residual: Estimate
    height_residual: Estimate


class _Draws(NamedTuple):
    """Slope, intercept and height: of all points, and in each draw."""

    value: Float64[np.ndarray, " figures"]
    of_pictures: Float64[np.ndarray, "draws figures"]
    of_seeds: Float64[np.ndarray, "draws figures"]


class MixtureStatistics:
    """What the runs of a study amount to.

    Args:
        records: of one study.
        reference: name of the test that accuracies are compared against.
        scale: of the axes of the lines.
        seed: of the draws.
    """

    def __init__(
        self, records: Sequence[CellRecord], *, reference: str, scale: Scale, seed: int = 0
    ) -> None:
        self._records = {record.cell: record for record in records}
        self.reference, self._seed = reference, seed
        self.scale: Scale = scale
        self.tests = tests_of(records)
        self.sizes = {name: hits.shape[1] for name, hits in records[0].hits.items()}
        self.chance = {n: float(told["chance"]) for n, told in records[0].result["tests"].items()}
        self._shares = {
            (cell, name): record.hits[name].mean(axis=1)
            for cell, record in self._records.items()
            for name in self.tests
        }
        self._drawn = {
            key: drawn
            for number, name in enumerate(self.tests)
            for key, drawn in self._picture_draws(name, number).items()
        }

    @property
    def mixtures(self) -> list[Mixture]:
        """In the order of the runs."""
        return list(dict.fromkeys(cell.mixture for cell in self._records))

    def seeds(self, mixture: Mixture) -> list[int]:
        """Of the finished runs."""
        return sorted(cell.seed for cell in self._records if cell.mixture == mixture)

    def last(self, mixture: Mixture, test: str) -> Estimate:
        """Mean accuracy of the last models."""
        seeds = self.seeds(mixture)
        cells = [Cell(mixture, seed) for seed in seeds]
        own = np.array([self._shares[cell, test][-1] for cell in cells])
        drawn = np.mean([self._drawn[cell, test][:, -1] for cell in cells], axis=0)
        of_seeds = seed_weights(len(seeds), self._seed) @ own
        parts = (Part(drawn, self.sizes[test]), Part(of_seeds, len(seeds)))
        return estimate(float(own.mean()), parts, len(seeds), SHARE)

    @cached_property
    def level(self) -> float:
        """The accuracy on the reference, transformed, that every mixture reaches at its end."""
        finals = [self.last(mixture, self.reference).value for mixture in self.mixtures]
        size = self.sizes[self.reference]
        return float(transformed(np.array([min(finals)]), size, self.scale)[0])

    def line(self, mixture: Mixture, test: str) -> Line | None:
        """The line of a mixture; None where too few evaluations stand out from guessing."""
        seeds = self.seeds(mixture)
        draws = self._line_draws(mixture, test, seeds)
        if draws is None:
            return None
        x, y, _ = self._points(mixture, test, seeds)
        slope, intercept, height = (self._estimate(test, seeds, draws, name) for name in _FIGURES)
        ends = [as_accuracy(end, self.scale) for end in (height.value, height.low, height.high)]
        accuracy = Estimate(*ends, num_seeds=len(seeds))
        points = np.stack([x, y], axis=1)
        return Line(slope, intercept, height, accuracy, explained(x, y), points)

    def prediction(self, mixture: Mixture, test: str) -> Prediction | None:
        """What the sources alone let expect; None where one of them has no line."""
        if len(mixture.shares) == 1:
            return None
        alone = {Mixture(((name, 1.0),)): share for name, share in mixture.shares}
        if not set(alone) <= set(self.mixtures):
            return None
        seeds = sorted(set.intersection(*(set(self.seeds(m)) for m in (mixture, *alone))))
        own = self._line_draws(mixture, test, seeds) if seeds else None
        parts = [self._line_draws(source, test, seeds) if seeds else None for source in alone]
        known = [part for part in parts if part is not None]
        if own is None or len(known) < len(parts):
            return None
        shares = list(alone.values())
        expected = _Draws(*(
            np.average([part[kind] for part in known], axis=0, weights=shares)
            for kind in range(len(own))
        ))  # fmt: skip
        residual = _Draws(*(one - other for one, other in zip(own, expected, strict=True)))
        return Prediction(*(
            self._estimate(test, seeds, draws, name)
            for draws in (expected, residual)
            for name in ("slope", "height")
        ))  # fmt: skip

    def _estimate(self, test: str, seeds: Sequence[int], draws: _Draws, figure: str) -> Estimate:
        place = _FIGURES.index(figure)
        pictures = min(self.sizes[test], self.sizes[self.reference])
        parts = (
            Part(draws.of_pictures[:, place], pictures),
            Part(draws.of_seeds[:, place], len(seeds)),
        )
        return estimate(float(draws.value[place]), parts, len(seeds), None)

    def _line_draws(self, mixture: Mixture, test: str, seeds: Sequence[int]) -> _Draws | None:
        x, y, usable = self._points(mixture, test, seeds)
        if len(x) < LEAST_POINTS or np.ptp(x) <= 0:
            return None
        even = np.ones(len(x))
        drawn_x, drawn_y = (
            self._transformed_draws(mixture, name, seeds)[:, usable]
            for name in (self.reference, test)
        )
        per_seed = self._shares[Cell(mixture, seeds[0]), test].shape[0]
        of_seeds = np.repeat(seed_weights(len(seeds), self._seed), per_seed, axis=1)[:, usable]
        draws = (
            (x, y, even),
            (drawn_x, drawn_y, np.broadcast_to(even, drawn_x.shape)),
            (np.broadcast_to(x, of_seeds.shape), np.broadcast_to(y, of_seeds.shape), of_seeds),
        )
        found = []
        for own in draws:
            fit = fitted(*own)
            found.append(np.stack([fit.slope, fit.intercept, fit.at(self.level)], axis=-1))
        return _Draws(*found) if np.isfinite(found[0]).all() else None

    def _points(
        self, mixture: Mixture, test: str, seeds: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray, Bool[np.ndarray, " evaluations"]]:
        """Transformed accuracies of the usable evaluations of all seeds, and which those are."""
        found, usable = [], []
        for name in (self.reference, test):
            shares = np.concatenate([self._shares[Cell(mixture, seed), name] for seed in seeds])
            found.append(transformed(shares, self.sizes[name], self.scale))
            usable.append(self._stands_out(shares, name))
        both = usable[0] & usable[1]
        return found[0][both], found[1][both], both

    def _stands_out(self, shares: np.ndarray, test: str) -> Bool[np.ndarray, " evaluations"]:
        """Whether accuracies are away from guessing, and from the ends where axes run to infinity.

        Two standard errors of guessing, and ``LEAST_HITS`` hits and misses.
        """
        size, chance = self.sizes[test], self.chance[test]
        above = shares > chance + 2 * math.sqrt(chance * (1 - chance) / size)
        return above & (shares * size >= LEAST_HITS) & ((1 - shares) * size >= LEAST_HITS)

    def _transformed_draws(
        self, mixture: Mixture, test: str, seeds: Sequence[int]
    ) -> Float64[np.ndarray, "draws evaluations"]:
        drawn = [self._drawn[Cell(mixture, seed), test] for seed in seeds]
        return transformed(np.concatenate(drawn, axis=1), self.sizes[test], self.scale)

    def _picture_draws(
        self, test: str, number: int
    ) -> dict[tuple[Cell, str], Float64[np.ndarray, "draws evaluations"]]:
        """Accuracies among pictures drawn with replacement, some draws at a time."""
        cells = list(self._records)
        hits = np.concatenate([self._records[cell].hits[test] for cell in cells]).astype(np.float64)
        size, generator = hits.shape[1], np.random.default_rng([self._seed, 0, number])
        even = np.full(size, 1 / size)
        drawn = np.concatenate([
            generator.multinomial(size, even, size=_DRAWS_AT_ONCE) @ hits.T / size
            for _ in range(NUM_RESAMPLES // _DRAWS_AT_ONCE)
        ])  # fmt: skip
        counts = [self._records[cell].hits[test].shape[0] for cell in cells]
        parts = np.split(drawn, np.cumsum(counts)[:-1], axis=1)
        return {(cell, test): part for cell, part in zip(cells, parts, strict=True)}
