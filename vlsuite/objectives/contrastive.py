"""Losses of two embeddings a pair, over all pairs of the global batch."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlsuite.objectives.objective import Losses, Objective
from vlsuite.objectives.pair_keys import PairKeys


class ContrastiveObjective(Objective):
    """A contrastive loss over the embeddings of the whole global batch, with its learned scale.

    ``forward`` takes this rank's embeddings and returns the global loss. Its backward leaves on
    each rank the gradient of that global loss for the local embeddings, and for the parameters
    of the objective the complete gradient, already summed over ranks. An engine that averages
    over ranks therefore needs the embedding gradients times the number of ranks, and the
    parameters here need no reduction. They are fp32, of shape [1], and belong to an optimizer
    of their own, outside ZeRO; call :meth:`clamp_` after its step.

    Args:
        init_logit_scale: the multiplier at the start, not its logarithm.
        max_logit_scale: upper end of the range [1, max] that :meth:`clamp_` restores.
        tile_size: edge of the tiles the logits are computed in; None to suit the device.
    """

    def __init__(
        self, *, init_logit_scale: float, max_logit_scale: float, tile_size: int | None
    ) -> None:
        super().__init__()
        self.max_logit_scale = max_logit_scale
        self.tile_size = tile_size
        self.log_logit_scale = nn.Parameter(torch.tensor([math.log(init_logit_scale)]))

    def forward(
        self,
        image_embeds: Float[Tensor, "batch embed_dim"],
        text_embeds: Float[Tensor, "batch embed_dim"],
        keys: PairKeys | None = None,
    ) -> Losses:
        """Global loss of this rank's pairs among those of all ranks.

        Args:
            image_embeds: unit L2 norm.
            text_embeds: unit L2 norm, paired by row with image_embeds.
            keys: what the pairs are, for an objective that remembers pairs or knows identities.
        Raises:
            ValueError: not two matrices of one shape and dtype, no rows, or ranks whose batches
                differ in length.
        """
        raise NotImplementedError

    @property
    def logit_scale(self) -> float:
        """The multiplier now applied to cosine similarities."""
        return float(self.log_logit_scale.detach().exp())

    @property
    def logit_bias(self) -> float:
        """What is now added to every logit; 0 for an objective without a bias."""
        return 0.0

    def scalars(self) -> dict[str, float]:
        """The scale and the bias as they are now."""
        return {"logit_scale": self.logit_scale, "logit_bias": self.logit_bias}

    @torch.no_grad()
    def set_logit_scale(self, value: float, *, logit_bias: float | None = None) -> None:
        """Take over a pretrained multiplier, and a bias where this objective has one.

        Raises:
            ValueError: ``value`` is not positive and finite.
        """
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"logit_scale must be positive and finite, got {value}")
        self.log_logit_scale.fill_(math.log(value))

    def use_layout(self, embed_parts: tuple[int, ...]) -> None:
        """Told once, before training, which embeddings the model has concatenated.

        Args:
            embed_parts: their widths; empty for a model with one embedding.
        """

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring the scale back into [1, max_logit_scale]; call after each optimizer step."""
        self.log_logit_scale.clamp_(0.0, math.log(self.max_logit_scale))
