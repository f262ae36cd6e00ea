"""What the trainer sees of an objective, and how precomputed gradients enter autograd."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vlsuite.errors import ConfigError
from vlsuite.objectives.pair_keys import PairKeys


class Losses(NamedTuple):
    """Global losses in nats per pair, the same on every rank; only ``total`` has a gradient."""

    total: Float[Tensor, ""]
    terms: dict[str, Tensor]


class Objective(nn.Module):
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

    def begin_step(self, epoch: float) -> None:
        """Called before each step by every rank.

        Args:
            epoch: passes over the training set so far, with the fraction of the present one.
        """

    def memory(self) -> dict[str, Tensor]:
        """What the objective has learned about pairs, the same on every rank; for checkpoints."""
        return {}

    def load_memory(self, stored: dict[str, Tensor]) -> None:
        """Take back what :meth:`memory` gave."""

    def noise_probabilities(self) -> dict[int, float] | None:
        """How likely each pair seen is mismatched, by its key; None where that is not estimated."""
        return None

    @torch.no_grad()
    def clamp_(self) -> None:
        """Bring the scale back into [1, max_logit_scale]; call after each optimizer step."""
        self.log_logit_scale.clamp_(0.0, math.log(self.max_logit_scale))


def check_settings(
    *, init_logit_scale: float, max_logit_scale: float, tile_size: int | None = None
) -> None:
    """Refuse settings no objective can run with.

    Raises:
        ConfigError: a scale outside 1 <= init <= max, or a tile without entries.
    """
    if not 1 <= init_logit_scale <= max_logit_scale < math.inf:
        raise ConfigError(
            "objective: need 1 <= init_logit_scale <= max_logit_scale, both finite, but they are "
            f"{init_logit_scale} and {max_logit_scale}"
        )
    if tile_size is not None and tile_size < 1:
        raise ConfigError(
            f"objective.tile_size={tile_size}: use a positive size, or none to suit the device"
        )


def check_pairs(image_embeds: Tensor, text_embeds: Tensor) -> None:
    """Refuse embeddings that are not two matrices of paired rows.

    Raises:
        ValueError: not 2-D, no rows, or shapes or dtypes that differ.
    """
    shapes = f"images {tuple(image_embeds.shape)}, texts {tuple(text_embeds.shape)}"
    if image_embeds.ndim != 2 or text_embeds.ndim != 2:
        raise ValueError(f"embeddings must be [batch, embed_dim]: {shapes}")
    if image_embeds.shape != text_embeds.shape:
        raise ValueError(f"images and texts must pair up row by row: {shapes}")
    if len(image_embeds) == 0:
        raise ValueError(f"a loss needs one pair at least: {shapes}")
    if image_embeds.dtype != text_embeds.dtype:
        raise ValueError(f"dtypes differ: {image_embeds.dtype} images, {text_embeds.dtype} texts")


def attach_gradients(
    loss: Float[Tensor, ""], inputs: Sequence[Tensor], gradients: Sequence[Tensor | None]
) -> Float[Tensor, ""]:
    """Return ``loss`` as a function of ``inputs`` whose gradients are known already.

    Backward only multiplies them by the incoming gradient, so the tiles are not visited again.
    The result is not differentiable twice.

    Args:
        loss: computed without autograd.
        inputs: what the loss was computed from.
        gradients: of the loss, one for each input and of its shape; None for one not wanted.
    """
    return _KnownGradients.apply(loss, len(inputs), *inputs, *gradients)


class _KnownGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx, loss, num_inputs, *inputs_then_gradients):
        inputs, gradients = inputs_then_gradients[:num_inputs], inputs_then_gradients[num_inputs:]
        ctx.dtypes = [value.dtype for value in inputs]
        ctx.save_for_backward(*gradients)
        return loss.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        known = [
            None if gradient is None else (gradient * grad_output).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return None, None, *known, *(None for _ in known)
