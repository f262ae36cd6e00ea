"""Triplet ranking loss on the hardest negative of the batch."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.pairwise import PairLosses, PairwiseObjective, Similarities


@registry.register("triplet")
@dataclass(frozen=True, kw_only=True, slots=True)
class TripletConfig:
    """Settings of the hardest-negative triplet loss.

    Args:
        margin: by which the own cosine should exceed the hardest negative; 0.2 in VSE++.
        logit_scale: written into the trained model for softmaxes over its cosines; the loss has
            none.
    """

    margin: float = 0.2
    logit_scale: float = 50.0

    def __post_init__(self) -> None:
        if not 0 <= self.margin <= 2:
            raise ConfigError(f"objective.margin={self.margin} must lie in [0, 2] (cosines)")
        check_fixed_scale(self.logit_scale)

    def build(self) -> "Triplet":
        """The objective, on the CPU."""
        return Triplet(self)


class Triplet(PairwiseObjective):
    """:func:`hardest_negative_losses`; it has nothing to learn."""

    def __init__(self, config: TripletConfig) -> None:
        super().__init__(
            init_logit_scale=config.logit_scale,
            max_logit_scale=config.logit_scale,
        )
        fix_scale(self)
        self._margin = config.margin

    def set_logit_scale(self, value: float, *, logit_bias: float | None = None) -> None:
        """Cosines are compared as they are: a pretrained multiplier has no effect."""

    def pair_losses(self, scores: Similarities, keys: PairKeys | None) -> PairLosses:
        """See :meth:`PairwiseObjective.pair_losses`."""
        losses = hardest_negative_losses(scores, margin=self._margin)
        return PairLosses(losses, {"triplet": losses})


def hardest_negative_losses(scores: Similarities, *, margin: float) -> Float[Tensor, " batch"]:
    """[m - S_ii + max_j S_ij]+ over image i's texts, plus the same over text i's images.

    Faghri et al. 2018, arXiv 1707.05612, equation 6 (VSE++). Pairs of the same identity are no
    negatives. A pair without a negative has no loss.
    """
    losses = torch.zeros_like(scores.own_cosines)
    for cosines in (scores.images, scores.texts):
        hardest = cosines.masked_fill(scores.is_positive, -math.inf).amax(dim=1)
        losses = losses + (margin - scores.own_cosines + hardest).clamp(min=0)
    return losses


def check_fixed_scale(value: float) -> None:
    """Refuse a multiplier that no softmax can use.

    Raises:
        ConfigError: not at least 1 and finite.
    """
    if not 1 <= value < math.inf:
        raise ConfigError(f"objective.logit_scale={value} must be finite and at least 1")


def fix_scale(objective: PairwiseObjective) -> None:
    """Keep the multiplier of an objective without a learned one as it is."""
    objective.log_logit_scale.requires_grad_(False)
