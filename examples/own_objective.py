"""An objective outside the package: contrastive learning that looks away from easy pairs.

    vlsuite train emoji --import examples/own_objective.py --set objective=focal \
        --set objective.gamma=1 --set data.train=runs/demo/data/train --out runs/focal

From Python: import this file, then ``vlsuite.train("emoji", objective="focal", ...)``.
"""

from dataclasses import dataclass

from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.pairwise import PairLosses, PairwiseObjective, Similarities


@registry.register("focal")
@dataclass(frozen=True, kw_only=True, slots=True)
class FocalConfig:
    """Settings of the focal contrastive loss (Lin et al. 2017, arXiv 1708.02002, equation 4).

    Args:
        gamma: 0 is the loss of CLIP; the larger, the less a pair counts that is right already.
    """

    gamma: float = 2.0
    init_logit_scale: float = 1 / 0.07
    max_logit_scale: float = 100.0

    def __post_init__(self) -> None:
        if self.gamma < 0:
            raise ConfigError(f"objective.gamma={self.gamma} must not be negative")

    def build(self) -> "Focal":
        """The trainable objective."""
        return Focal(self)


class Focal(PairwiseObjective):
    """(1 - p)^gamma (-log p), p the softmax of the own pair, averaged over both directions."""

    def __init__(self, config: FocalConfig) -> None:
        super().__init__(
            init_logit_scale=config.init_logit_scale, max_logit_scale=config.max_logit_scale
        )
        self._gamma = config.gamma

    def pair_losses(self, scores: Similarities, keys: PairKeys | None) -> PairLosses:
        """The loss of each pair; similarities are those with all pairs of all processes."""
        losses = 0.0
        for cosines in (scores.images, scores.texts):
            log_shares = (self.shared_scale() * cosines).log_softmax(dim=1)
            log_p = log_shares.gather(1, scores.own[:, None]).squeeze(1)
            losses = losses - (1 - log_p.exp()).clamp(min=0) ** self._gamma * log_p / 2
        return PairLosses(losses, {"focal": losses})
