"""InfoNCE with constant label smoothing: the plain defence against wrong captions."""

from dataclasses import dataclass

from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.objective import check_settings
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.pairwise import PairLosses, PairwiseObjective, Similarities
from vlsuite.objectives.soft_targets import soft_target_losses


@registry.register("label_smoothing")
@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSmoothingConfig:
    """Settings of the smoothed CLIP objective.

    Args:
        smoothing: share of the target given to the other pairs of the batch; BLIP-2 uses 0.1
            (salesforce/LAVIS, blip2_qformer.py).
        init_logit_scale: multiplier at the start.
        max_logit_scale: the multiplier never exceeds it.
    """

    smoothing: float = 0.1
    init_logit_scale: float = 1 / 0.07
    max_logit_scale: float = 100.0

    def __post_init__(self) -> None:
        check_settings(
            init_logit_scale=self.init_logit_scale,
            max_logit_scale=self.max_logit_scale,
        )
        if not 0 <= self.smoothing < 1:
            raise ConfigError(f"objective.smoothing={self.smoothing} must lie in [0, 1)")

    def build(self) -> "LabelSmoothing":
        """The trainable objective, on the CPU."""
        return LabelSmoothing(self)


class LabelSmoothing(PairwiseObjective):
    """:func:`soft_target_losses` with one omega for all pairs."""

    def __init__(self, config: LabelSmoothingConfig) -> None:
        super().__init__(
            init_logit_scale=config.init_logit_scale,
            max_logit_scale=config.max_logit_scale,
        )
        self._smoothing = config.smoothing

    def pair_losses(self, scores: Similarities, keys: PairKeys | None) -> PairLosses:
        """See :meth:`PairwiseObjective.pair_losses`."""
        omega = scores.images.new_full((len(scores.own),), self._smoothing)
        scale = self.shared_scale()
        losses = soft_target_losses(scores, omega, scale)
        return PairLosses(losses, {"label_smoothing": losses})
