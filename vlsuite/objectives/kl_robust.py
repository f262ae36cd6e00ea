"""Distributionally robust InfoNCE with a KL ball, turned so that wrong pairs lose weight."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vlsuite.errors import ConfigError
from vlsuite.objectives import gather, registry
from vlsuite.objectives.objective import check_settings
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.pairwise import PairLosses, PairwiseObjective, Similarities
from vlsuite.objectives.soft_targets import soft_target_losses


@registry.register("kl_robust")
@dataclass(frozen=True, kw_only=True, slots=True)
class KlRobustConfig:
    """Settings of the KL-robust objective.

    Args:
        radius: rho in nats; the smaller, the more high losses are discounted. A pair whose loss
            is rho above another's has 1/e of its weight.
        init_logit_scale: multiplier at the start.
        max_logit_scale: the multiplier never exceeds it.
    """

    radius: float = 1.0
    init_logit_scale: float = 1 / 0.07
    max_logit_scale: float = 100.0

    def __post_init__(self) -> None:
        check_settings(
            init_logit_scale=self.init_logit_scale,
            max_logit_scale=self.max_logit_scale,
        )
        if not 0 < self.radius < math.inf:
            raise ConfigError(f"objective.radius={self.radius} must be positive and finite")

    def build(self) -> "KlRobust":
        """The trainable objective, on the CPU."""
        return KlRobust(self)


class KlRobust(PairwiseObjective):
    """InfoNCE losses l_i, reweighted by :func:`softmin_weights` over the global batch.

    The gradient is that of -rho log mean_i exp(-l_i / rho), the smallest expected loss plus
    rho KL(w || uniform) over weightings w. Distributionally robust training maximises over w
    instead (w growing with the loss: the formula of doubly robust reweighting as recalled in the
    literature), which for mismatched pairs would train on the noise first; the sign is turned
    here. That turn is ours. The value reported is the weighted mean loss.
    """

    def __init__(self, config: KlRobustConfig) -> None:
        super().__init__(
            init_logit_scale=config.init_logit_scale,
            max_logit_scale=config.max_logit_scale,
        )
        self._radius = config.radius

    def pair_losses(self, scores: Similarities, keys: PairKeys | None) -> PairLosses:
        """See :meth:`PairwiseObjective.pair_losses`."""
        scale = self.shared_scale()
        losses = soft_target_losses(scores, torch.zeros_like(scores.own_cosines), scale)
        weights = softmin_weights(losses.detach(), radius=self._radius)
        terms = {"clip": losses, "squared_weight": weights.square()}
        return PairLosses(weights * losses, terms)


def softmin_weights(losses: Float[Tensor, " batch"], *, radius: float) -> Float[Tensor, " batch"]:
    """B exp(-l_i / rho) / sum_j exp(-l_j / rho) over the global batch; their mean is 1."""
    everyone = gather.all_gather_rows(losses[:, None]).squeeze(1)
    total = torch.logsumexp(-everyone / radius, dim=0)
    return len(everyone) * torch.exp(-losses / radius - total)
