"""CoCa's objective: contrast over the global batch, and the captions' words one after the other.

Yu et al. 2022, arXiv 2205.01917, section 3: L = lambda_con L_con + lambda_cap L_cap. Labels,
padding and default weights (2 for captions, 1 for the contrast) are those of open_clip 3.3 and its
``CoCaLoss``: of a caption's tokens y_0 (begin mark) to y_T (end mark), y_1 to y_T are predicted;
padding (id 0, which is also "!" in open_clip's own vocabulary) counts nowhere. The paper sums over
a caption; ``CoCaLoss`` averages over tokens, as here.

Captions are averaged over all tokens of the global batch: L_cap = sum_i sum_t nats_it / sum_i T_i.
``CoCaLoss`` does that within a process and DDP averages over processes, which weighs a token by
how short the captions of its process are, so two processes there are not one process on both
batches. Here they are; in one process both are the same number.
"""

import math
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from data_pipelines.settings import component
from vlsuite.errors import ConfigError
from vlsuite.objectives import gather, registry
from vlsuite.objectives.contrastive import ContrastiveObjective
from vlsuite.objectives.objective import Losses, Objective
from vlsuite.objectives.pair_keys import PairKeys


@registry.register("coca")
@dataclass(frozen=True, kw_only=True, slots=True)
class CocaObjectiveConfig:
    """Settings of CoCa's objective.

    Attributes:
        contrast: of the two embeddings: any contrastive objective.
        contrast_weight: of the contrast; 1 by default in open_clip's training.
        caption_weight: of the captions, in nats a token; 2 by default there.
    """

    contrast: Any = component(registry, "clip")
    contrast_weight: float = 1.0
    caption_weight: float = 2.0

    def __post_init__(self) -> None:
        weights = (self.contrast_weight, self.caption_weight)
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not sum(weights):
            raise ConfigError(
                f"objective.contrast_weight={self.contrast_weight} and objective.caption_weight="
                f"{self.caption_weight} must be 0 or positive, and one of them positive"
            )

    def build(self) -> "CocaObjective":
        """The trainable objective, on the CPU.

        Raises:
            ConfigError: ``contrast`` is no contrastive objective.
        """
        contrast = self.contrast.build()
        if not isinstance(contrast, ContrastiveObjective):
            raise ConfigError(
                "objective.contrast must be a contrastive objective: choose clip or siglip"
            )
        return CocaObjective(
            contrast,
            contrast_weight=self.contrast_weight,
            caption_weight=self.caption_weight,
        )


class CocaObjective(Objective):
    """Weighted sum of contrast and captions.

    The contrast is asked once for all pairs of the global batch, the captions once for each
    micro-batch; the step named "coca" does both.

    Args: see :class:`CocaObjectiveConfig`.
    """

    def __init__(
        self, contrast: ContrastiveObjective, *, contrast_weight: float, caption_weight: float
    ) -> None:
        super().__init__()
        self.contrast = contrast
        self.contrast_weight = contrast_weight
        self.caption_weight = caption_weight

    def contrast_losses(
        self,
        image_embeds: Float[Tensor, "batch embed_dim"],
        text_embeds: Float[Tensor, "batch embed_dim"],
        keys: PairKeys | None = None,
    ) -> Losses:
        """The weighted contrast of the global batch; see ``ContrastiveObjective.forward``."""
        losses = self.contrast(image_embeds, text_embeds, keys)
        return Losses(losses.total * self.contrast_weight, losses.terms)

    def caption_loss(
        self, caption_nats: Float[Tensor, " batch"], num_tokens: Float[Tensor, ""]
    ) -> Float[Tensor, ""]:
        """This micro-batch's part of the weighted captioning loss; the parts add up to it.

        Args:
            caption_nats: of each caption.
            num_tokens: labels of the global batch, from :func:`global_tokens`.
        """
        return self.caption_weight * caption_nats.sum() / num_tokens

    @property
    def logit_scale(self) -> float:
        """The multiplier now applied to cosine similarities."""
        return self.contrast.logit_scale

    def scalars(self) -> dict[str, float]:
        """Those of the contrast."""
        return self.contrast.scalars()

    def begin_step(self, epoch: float) -> None:
        """See ``Objective.begin_step``."""
        self.contrast.begin_step(epoch)

    def memory(self) -> dict[str, Tensor]:
        """See ``Objective.memory``."""
        return self.contrast.memory()

    def load_memory(self, stored: dict[str, Tensor]) -> None:
        """See ``Objective.load_memory``."""
        self.contrast.load_memory(stored)

    def noise_probabilities(self) -> dict[int, float] | None:
        """See ``Objective.noise_probabilities``."""
        return self.contrast.noise_probabilities()

    def clamp_(self) -> None:
        """Bring the scale back into its range."""
        self.contrast.clamp_()


def global_tokens(local: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Labels of all ranks together, at least 1; every rank calls.

    Args:
        local: labels of this rank's captions.
    """
    return gather.all_reduce_sum_(local.clone()).clamp_min(1)
