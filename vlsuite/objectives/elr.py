"""Early-learning regularisation for pairs: hold on to what was believed before memorising."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.objective import check_settings
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.pair_memory import PairMemory
from vlsuite.objectives.pairwise import PairLosses, PairwiseObjective, Similarities
from vlsuite.objectives.soft_targets import soft_target_losses

_TARGET = "target"
_SMALLEST = 1e-4  # as shengliu66/ELR, ELR/model/loss.py clamps its probabilities


@registry.register("elr")
@dataclass(frozen=True, kw_only=True, slots=True)
class ElrConfig:
    """Settings of InfoNCE with early-learning regularisation.

    Args:
        strength: lambda; 3 on CIFAR-10 and 7 on CIFAR-100 in the authors' configs. Here the term
            holds a probability near 1 / B down with lambda / 2 of the force of InfoNCE: above 2
            nothing is learned from random weights.
        decay: beta of the running target; 0.7 and 0.9 there.
        init_logit_scale: multiplier at the start.
        max_logit_scale: the multiplier never exceeds it.
    """

    strength: float = 0.5
    decay: float = 0.7
    init_logit_scale: float = 1 / 0.07
    max_logit_scale: float = 100.0

    def __post_init__(self) -> None:
        check_settings(
            init_logit_scale=self.init_logit_scale,
            max_logit_scale=self.max_logit_scale,
        )
        if self.strength < 0 or not 0 <= self.decay < 1:
            raise ConfigError("objective: strength must be >= 0 and decay in [0, 1)")

    def build(self) -> "Elr":
        """The trainable objective, on the CPU."""
        return Elr(self)


class Elr(PairwiseObjective):
    """InfoNCE plus :func:`early_learning_terms` on matching probabilities.

    Liu et al. 2020, arXiv 2007.00151, equation 6, is for classes: targets live on a fixed
    simplex. Batch candidates are not fixed, so its scalar form is used (our inference): pi_i is
    the probability, averaged over both directions, that the pair's own partner has in the batch,
    t_i its running mean, kept under the pair's key. The term is negative, down to
    lambda log 1e-4, so a total below zero is normal.
    """

    def __init__(self, config: ElrConfig) -> None:
        super().__init__(
            init_logit_scale=config.init_logit_scale,
            max_logit_scale=config.max_logit_scale,
        )
        self._strength, self._decay = config.strength, config.decay
        self._memory = PairMemory(target=float("nan"))

    def pair_losses(self, scores: Similarities, keys: PairKeys | None) -> PairLosses:
        """See :meth:`PairwiseObjective.pair_losses`."""
        scale = self.shared_scale()
        losses = soft_target_losses(scores, torch.zeros_like(scores.own_cosines), scale)
        matching = matching_probabilities(scores, scale)
        if keys is None:
            raise ValueError("early-learning regularisation needs the keys of the pairs")
        if torch.is_grad_enabled():
            self._memory.average_in(keys.pairs, [(_TARGET, matching)], decay=self._decay)
        targets = self._memory.values_of(_TARGET, keys.pairs).nan_to_num(0.5)
        terms = early_learning_terms(matching, targets)
        total = losses + self._strength * terms
        return PairLosses(total, {"clip": losses, "early_learning": terms})

    def memory(self) -> dict[str, Tensor]:
        """See :meth:`Objective.memory`."""
        return self._memory.state()

    def load_memory(self, stored: dict[str, Tensor]) -> None:
        """See :meth:`Objective.load_memory`."""
        self._memory.load(stored)


def matching_probabilities(
    scores: Similarities, logit_scale: Float[Tensor, " 1"]
) -> Float[Tensor, " batch"]:
    """Softmax probability of the own partner, mean of image to text and text to image."""
    found = [
        torch.softmax(cosines * logit_scale, dim=1).gather(1, scores.own[:, None]).squeeze(1)
        for cosines in (scores.images, scores.texts)
    ]
    return (found[0] + found[1]) / 2


def early_learning_terms(
    matching: Float[Tensor, " batch"], targets: Float[Tensor, " batch"]
) -> Float[Tensor, " batch"]:
    """log(1 - t pi - (1 - t)(1 - pi)): lowest where the probability agrees with its target.

    Args:
        matching: pi, in [0, 1].
        targets: t, in [0, 1]; not differentiated.
    """
    low, high = _SMALLEST, 1 - _SMALLEST
    pi, t = matching.clamp(low, high), targets.clamp(low, high)
    return torch.log(1 - t * pi - (1 - t) * (1 - pi))
