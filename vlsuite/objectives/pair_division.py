"""Running losses of all pairs, and their division into clean and noisy while training goes on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from vlsuite.errors import ConfigError
from vlsuite.objectives import gather
from vlsuite.objectives.division import Fit, Mixture, fit_mixture, has_bump
from vlsuite.objectives.pair_memory import PairMemory

_MIXTURES = "mixtures"
_NUM_FITS = "num_fits"

# A part that finds nearly every pair wrong has learned nothing yet, and would end training.
_MAX_SHARE = 0.95
_TOLERANCE = 0.05  # flags beyond the estimated share that nobody needs to hear of
_NUMBERS = 6  # of a stored mixture


@dataclass(frozen=True, kw_only=True, slots=True)
class DivisionConfig:
    """When and how pairs are divided.

    Attributes:
        fit: "anchored" measures what wrong pairs look like, "free" fits both components, as RDE.
        decay: of the running mean of a pair's loss, per visit; 0 keeps the last loss only.
        warmup_epochs: before the first fit; until then no pair counts as noisy. From weights that
            know nothing yet give 1 or 2, from pretrained ones a fraction is enough.
        fit_every: epochs between two fits; 1 as in RDE.
        min_separation: a part abstains while the means of its components lie nearer than so many
            of their standard deviations, as those of an embedding that has learned nothing yet.
        min_share: a part of "anchored" abstains unless losses gather around those of wrong pairs
            (``has_bump``), or this share is wrong at least by components that are clear of each
            other: right pairs that are not learned yet look like so many wrong ones. "free" has
            no such guard, as published.
        clear_separation: means that lie so far apart are clear of each other. 2 would do for normal
            components (Ashman, Bird and Zepf 1994); losses of right pairs are skewed.
    """

    fit: Fit = "anchored"
    decay: float = 0.5
    warmup_epochs: float = 0.1
    fit_every: float = 0.1
    min_separation: float = 0.5
    min_share: float = 0.2
    clear_separation: float = 2.4

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ConfigError(f"objective.division.decay={self.decay} must lie in [0, 1)")
        if min(self.min_separation, self.clear_separation) < 0:
            raise ConfigError(
                "objective.division: min_separation and clear_separation must not be negative"
            )
        if not 0 <= self.min_share <= 1:
            raise ConfigError(f"objective.division.min_share={self.min_share} must lie in [0, 1]")
        if not self.fit_every > 0 or not self.warmup_epochs >= 0:
            raise ConfigError(
                "objective.division: fit_every must be positive and warmup_epochs not negative"
            )


class PartLosses(NamedTuple):
    """Losses of this rank's pairs under one embedding, and of wrong pairs made from them."""

    losses: Float[Tensor, " batch"]
    mismatched: Float[Tensor, " batch"]


class PairDivision:
    """A running loss and a mixture for each part of the embedding, the same on every rank.

    Recycled losses: each is what a training step computed for its pair, with that step's view and
    batch, averaged over visits; no pass over the data is made for the division. RDE computes them
    in an extra pass before each epoch.

    Args:
        config: when and how.
        parts: names of the embeddings that vote.
    """

    def __init__(self, config: DivisionConfig, parts: tuple[str, ...]) -> None:
        self._config = config
        self.parts = parts
        columns = [name for part in parts for name in (part, _wrong(part))]
        self.memory = PairMemory(**dict.fromkeys(columns, math.nan))
        self.mixtures: dict[str, Mixture | None] = dict.fromkeys(parts)
        self._num_fits = 0
        self._limited: set[str] = set()
        self._said: set[str] = set()
        self._notices: list[str] = []

    def begin_step(self, epoch: float) -> None:
        """Fit anew where it is time; every rank calls."""
        due = self._config
        if epoch < due.warmup_epochs or not len(self.memory):
            return
        # the small term keeps 3 x (1/3) at 1
        number = int((epoch - due.warmup_epochs) / due.fit_every + 1e-9) + 1
        if number > self._num_fits:
            self._num_fits = number
            for part in self.parts:
                self.mixtures[part] = self._fitted(part)

    def observe(
        self, keys: Int64[Tensor, " batch"], losses: Mapping[str, PartLosses]
    ) -> dict[str, Float32[Tensor, " batch"]]:
        """Take in the losses of a step; returns what each part says of its pairs.

        Every rank calls.

        Returns:
            Noise probabilities by part; parts that abstain, as all do before the first fit, are
            not among them.
        """
        named = [(part, found.losses) for part, found in losses.items()]
        self.memory.average_in(keys, named, decay=self._config.decay)
        # a pair's wrong partner is another one at each visit: means over them would spread less
        # than the losses of pairs that keep their wrong captions
        wrong = [(_wrong(part), found.mismatched) for part, found in losses.items()]
        self.memory.average_in(keys, wrong, decay=0.0)
        return {
            part: torch.from_numpy(
                self._probability(mixture, self.memory.values_of(part, keys).cpu().numpy())
            ).to(keys.device)
            for part in losses
            if (mixture := self.mixtures[part]) is not None
        }

    def noise_probabilities(self) -> dict[str, Float32[np.ndarray, " pairs"]]:
        """Each part's noise probability of every pair seen so far, in the order of the memory.

        Parts that abstain are not among them.
        """
        return {
            part: self._probability(mixture, self.memory.column(part))
            for part, mixture in self.mixtures.items()
            if mixture is not None
        }

    def noise_share(self) -> float:
        """Estimate of the share of wrong pairs, mean of the parts; 0 before the first fit."""
        found = [mixture.noise_share for mixture in self.mixtures.values() if mixture]
        return float(np.mean(found)) if found else 0.0

    def terms(self, like: Tensor) -> dict[str, Float32[Tensor, ""]]:
        """Parts that abstain, and parts whose flags were limited, for the log of a step.

        Args:
            like: on the device of the losses.
        """
        abstaining = sum(mixture is None for mixture in self.mixtures.values())
        counts = {"division_abstaining": abstaining, "division_limited": len(self._limited)}
        return {name: like.new_tensor(float(count)) for name, count in counts.items()}

    def notices(self) -> list[str]:
        """What is to be said since the last call; each kind of notice once for each part."""
        found, self._notices = self._notices, []
        return found

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        held = [
            mixture.to_list() if (mixture := self.mixtures[part]) else [math.nan] * _NUMBERS
            for part in self.parts
        ]
        return self.memory.state() | {
            _MIXTURES: torch.tensor(held, dtype=torch.float64),
            _NUM_FITS: torch.tensor([self._num_fits]),
        }

    def load(self, stored: dict[str, Tensor]) -> None:
        """Take back what :meth:`state` gave."""
        self.memory.load(stored)
        self._num_fits = int(stored[_NUM_FITS])
        for part, values in zip(self.parts, stored[_MIXTURES].tolist(), strict=True):
            known = not math.isnan(values[0])
            self.mixtures[part] = Mixture.from_list(values) if known else None

    def _fitted(self, part: str) -> Mixture | None:
        losses = self.memory.column(part)
        found = fit_mixture(losses, self.memory.column(_wrong(part)), fit=self._config.fit)
        self._limited.discard(part)
        if found is not None:
            found = self._guarded(part, found, losses[np.isfinite(losses)])
        # all ranks hold the same losses; the first one's fit holds where their libraries differ
        values = gather.of_first_rank(found.to_list() if found else [math.nan] * _NUMBERS)
        return None if math.isnan(values[0]) else Mixture.from_list(values)

    def _guarded(
        self, part: str, mixture: Mixture, losses: Float32[np.ndarray, " pairs"]
    ) -> Mixture | None:
        """None where the division is not to be trusted; with fewer flags where it has too many."""
        if mixture.separation < self._config.min_separation:
            return self._abstains(part, "right and wrong pairs have nearly the same losses")
        if mixture.noise_share > _MAX_SHARE:
            return self._abstains(part, f"{mixture.noise_share:.0%} of the pairs look wrong")
        flagged = float((mixture.noise_probability(losses) > 0.5).mean())
        if self._config.fit == "free":
            if flagged > _MAX_SHARE:
                return self._abstains(part, f"{flagged:.0%} of the pairs would be flagged")
            return mixture
        if not (has_bump(losses, mixture) or self._is_clear(mixture)):
            return self._say_once(
                part,
                "note",
                f"no evidence of wrong pairs yet ({mixture.noise_share:.0%} look so at most, as "
                "right ones that are not learned yet do); none is left out",
            )
        if flagged > mixture.noise_share + _TOLERANCE:
            self._limited.add(part)
            self._say_once(
                part,
                "warning",
                f"would flag {flagged:.0%} of the pairs where {mixture.noise_share:.0%} is "
                "justified; the pairs of the lowest losses are kept",
            )
        return mixture.limited_to_share(losses)

    def _is_clear(self, mixture: Mixture) -> bool:
        return (
            mixture.noise_share >= self._config.min_share
            and mixture.separation >= self._config.clear_separation
        )

    def _abstains(self, part: str, why: str) -> None:
        self._say_once(part, "warning", f"abstains, so that no pair is left out: {why}")

    def _say_once(self, part: str, kind: str, what: str) -> None:
        subject = f"{kind}: division of the pairs by the {part} embedding"
        start = f"{subject}/{what[:8]}"
        if start not in self._said:
            self._said.add(start)
            self._notices.append(f"{subject}: {what}; said once, metrics count it (division_*)")

    @staticmethod
    def _probability(
        mixture: Mixture, losses: Float32[np.ndarray, " pairs"]
    ) -> Float32[np.ndarray, " pairs"]:
        return mixture.noise_probability(losses).astype(np.float32)


def _wrong(part: str) -> str:
    return f"{part}.mismatched"
