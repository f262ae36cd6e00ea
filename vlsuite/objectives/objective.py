"""What the trainer sees of an objective, and how precomputed gradients enter autograd."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vlsuite.errors import ConfigError


class Losses(NamedTuple):
    """Global losses in nats per pair, the same on every rank; only ``total`` has a gradient."""

    total: Float[Tensor, ""]
    terms: dict[str, Tensor]


class Objective(nn.Module):
    """A loss that a model family is trained with; what the trainer asks of every one.

    Its parameters (a learned scale, say) are fp32, of one axis at least, the same on every rank,
    and belong to an optimizer of their own, outside ZeRO; :meth:`clamp_` is called after its
    step. What ``forward`` takes and returns is between the objective and the step that calls it:
    see ``ContrastiveObjective``, ``JointObjective`` and ``PlainObjective``.
    """

    def scalars(self) -> dict[str, float]:
        """Numbers to log beside the loss, which a trained model is also given ("logit_scale")."""
        return {}

    def begin_step(self, epoch: float) -> None:
        """Called before each step by every rank.

        Args:
            epoch: passes over the training set so far, with the fraction of the present one.
        """

    def memory(self) -> dict[str, Tensor]:
        """What the objective has learned about samples, the same on every rank; for checkpoints."""
        return {}

    def load_memory(self, stored: dict[str, Tensor]) -> None:
        """Take back what :meth:`memory` gave."""

    def noise_probabilities(self) -> dict[int, float] | None:
        """How likely each pair seen is mismatched, by its key; None where that is not estimated."""
        return None

    def notices(self) -> list[str]:
        """What the user should hear since the last call, a line each; the same on every rank."""
        return []

    def clamp_(self) -> None:
        """Bring parameters back into their range; called after each optimizer step."""


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
