"""Noise-adaptive image-text contrast (NITC): likely wrong pairs count less."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.mismatched import mismatched_clip_losses, mismatched_pairs
from vlsuite.objectives.objective import check_settings
from vlsuite.objectives.pair_division import DivisionConfig, PairDivision, PartLosses
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.pairwise import PairLosses, PairwiseObjective, Similarities
from vlsuite.objectives.soft_targets import soft_target_losses

#: How a pair's omega acts: on its targets, or as a weight 1 - omega.
Form = Literal["targets", "weights"]

_PART = "clip"


@registry.register("nitc")
@dataclass(frozen=True, kw_only=True, slots=True)
class NitcConfig:
    """Settings of NEVLP's contrastive stage on a dual encoder.

    Args:
        strength: lambda, the largest omega.
        form: "targets" shares omega among the other pairs, "weights" takes it off the pair's loss.
            In our noise study (eval/reports/LOG.md) only the weights beat label smoothing at 50%
            and 80% of wrong pairs: soft targets of most rows pull all cosines together.
        division: when and how the noise probabilities are found.
        init_logit_scale: multiplier at the start.
        max_logit_scale: the multiplier never exceeds it.
    """

    strength: float = 0.9
    form: Form = "weights"
    division: DivisionConfig = field(default_factory=DivisionConfig)
    init_logit_scale: float = 1 / 0.07
    max_logit_scale: float = 100.0

    def __post_init__(self) -> None:
        check_settings(
            init_logit_scale=self.init_logit_scale,
            max_logit_scale=self.max_logit_scale,
        )
        check_strength(self.strength)

    def build(self) -> "Nitc":
        """The trainable objective, on the CPU."""
        return Nitc(self)


class Nitc(PairwiseObjective):
    """InfoNCE held back by omega_i = lambda epsilon_i: weights 1 - omega_i, or soft targets.

    NEVLP (arXiv 2409.09582) is known from its abstract: a noise probability epsilon_i of each
    pair, from the memorisation effect, sets the regularisation omega_i = lambda epsilon_i of the
    contrast. The expression itself, lambda and the warm-up are not public; both forms are our
    inference. epsilon_i comes from a mixture over running means of plain InfoNCE losses, neither
    smoothed nor weighted, both directions averaged (see ``pair_division``).
    """

    def __init__(self, config: NitcConfig) -> None:
        super().__init__(
            init_logit_scale=config.init_logit_scale,
            max_logit_scale=config.max_logit_scale,
        )
        self._strength = config.strength
        self._form: Form = config.form
        self.division = PairDivision(config.division, (_PART,))

    def begin_step(self, epoch: float) -> None:
        """See :meth:`Objective.begin_step`."""
        self.division.begin_step(epoch)

    def pair_losses(self, scores: Similarities, keys: PairKeys | None) -> PairLosses:
        """See :meth:`PairwiseObjective.pair_losses`."""
        if keys is None:
            raise ValueError("nitc needs the keys of the pairs")
        scale = self.shared_scale()
        plain = soft_target_losses(scores, torch.zeros_like(scores.own_cosines), scale)
        wrong = mismatched_pairs(scores, scale=scale.detach())
        found = PartLosses(plain.detach(), mismatched_clip_losses(wrong, scale=scale.detach()))
        votes = self.division.observe(keys.pairs, {_PART: found})
        epsilon = votes.get(_PART, torch.zeros_like(plain))
        losses = adapted_losses(
            scores, self._strength * epsilon, scale, plain=plain, form=self._form
        )
        counts = {n: c.expand_as(plain) for n, c in self.division.terms(plain).items()}
        return PairLosses(losses, {"clip": plain, "noise_probability": epsilon} | counts)

    def memory(self) -> dict[str, Tensor]:
        """See :meth:`Objective.memory`."""
        return self.division.state()

    def load_memory(self, stored: dict[str, Tensor]) -> None:
        """See :meth:`Objective.load_memory`."""
        self.division.load(stored)

    def notices(self) -> list[str]:
        """See :meth:`Objective.notices`."""
        return self.division.notices()

    def noise_probabilities(self) -> dict[int, float]:
        """See :meth:`Objective.noise_probabilities`; 0 while the division abstains."""
        keys = self.division.memory.keys
        found = self.division.noise_probabilities().get(_PART, np.zeros(len(keys)))
        return dict(zip(keys.tolist(), found.tolist(), strict=True))


def adapted_losses(
    scores: Similarities,
    omega: Float[Tensor, " batch"],
    logit_scale: Float[Tensor, " 1"],
    *,
    plain: Float[Tensor, " batch"],
    form: Form,
) -> Float[Tensor, " batch"]:
    """The contrastive loss of each pair, held back by its omega.

    Args:
        omega: [0, 1).
        plain: InfoNCE losses of the same pairs, differentiable.
        form: see :data:`Form`.
    """
    if form == "weights":
        return (1 - omega) * plain
    return soft_target_losses(scores, omega, logit_scale)


def check_strength(value: float) -> None:
    """Refuse a lambda that leaves no target.

    Raises:
        ConfigError: outside [0, 1).
    """
    if not 0 <= value < 1:
        raise ConfigError(f"objective.strength={value} must lie in [0, 1)")
