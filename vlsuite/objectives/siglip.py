"""Sigmoid contrastive loss of SigLIP, tile by tile, equal on any number of ranks."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlsuite.errors import ConfigError
from vlsuite.objectives import gather, registry
from vlsuite.objectives.contrastive import ContrastiveObjective
from vlsuite.objectives.objective import Losses, attach_gradients, check_pairs, check_settings
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.tiles import GradientSums, LogitGrid


@registry.register("siglip")
@dataclass(frozen=True, kw_only=True, slots=True)
class SiglipConfig:
    """Settings of the SigLIP objective.

    Args:
        init_logit_scale: multiplier at the start; 10 as in Zhai et al. 2023, section 3.2.
        init_logit_bias: added to every logit at the start; -10 in the same section.
        max_logit_scale: the multiplier never exceeds it (not in the paper; as for CLIP).
        tile_size: edge of the tiles the logits are computed in; none to suit the device.
    """

    init_logit_scale: float = 10.0
    init_logit_bias: float = -10.0
    max_logit_scale: float = 100.0
    tile_size: int | None = None

    def __post_init__(self) -> None:
        check_settings(
            init_logit_scale=self.init_logit_scale,
            max_logit_scale=self.max_logit_scale,
            tile_size=self.tile_size,
        )
        if not math.isfinite(self.init_logit_bias):
            raise ConfigError(
                f"objective.init_logit_bias={self.init_logit_bias}: use a finite number"
            )

    def build(self) -> "SiglipObjective":
        """The trainable objective, on the CPU."""
        return SiglipObjective(
            init_logit_scale=self.init_logit_scale,
            init_logit_bias=self.init_logit_bias,
            max_logit_scale=self.max_logit_scale,
            tile_size=self.tile_size,
        )


class SiglipObjective(ContrastiveObjective):
    """:func:`sigmoid_loss` with its learned scale and bias.

    Args:
        init_logit_bias: added to every logit at the start. The others: see :class:`Objective`.
    """

    def __init__(
        self,
        *,
        init_logit_scale: float,
        init_logit_bias: float,
        max_logit_scale: float,
        tile_size: int | None,
    ) -> None:
        super().__init__(
            init_logit_scale=init_logit_scale, max_logit_scale=max_logit_scale, tile_size=tile_size
        )
        self.learned_logit_bias = nn.Parameter(torch.tensor([float(init_logit_bias)]))

    def forward(
        self,
        image_embeds: Float[Tensor, "batch embed_dim"],
        text_embeds: Float[Tensor, "batch embed_dim"],
        keys: PairKeys | None = None,
    ) -> Losses:
        """See :meth:`ContrastiveObjective.forward`."""
        total = sigmoid_loss(
            image_embeds,
            text_embeds,
            self.log_logit_scale,
            self.learned_logit_bias,
            tile_size=self.tile_size,
        )
        return Losses(total, {"siglip": total.detach()})

    @property
    def logit_bias(self) -> float:
        """What is now added to every logit."""
        return float(self.learned_logit_bias.detach())

    @torch.no_grad()
    def set_logit_scale(self, value: float, *, logit_bias: float | None = None) -> None:
        """Take over a pretrained multiplier, and the bias if one is given.

        Raises:
            ValueError: ``value`` is not positive and finite, or the bias is not finite.
        """
        if logit_bias is not None and not math.isfinite(logit_bias):
            raise ValueError(f"logit_bias must be finite, got {logit_bias}")
        super().set_logit_scale(value)
        if logit_bias is not None:
            self.learned_logit_bias.fill_(logit_bias)


def sigmoid_loss(
    image_embeds: Float[Tensor, "batch embed_dim"],
    text_embeds: Float[Tensor, "batch embed_dim"],
    log_logit_scale: Float[Tensor, " 1"],
    logit_bias: Float[Tensor, " 1"],
    *,
    tile_size: int | None,
) -> Float[Tensor, ""]:
    """Score every image-text pair of the global batch as an independent yes/no question.

    Zhai et al. 2023, arXiv 2303.15343, equation 1 and Algorithm 1. With l_ij = s x_i . y_j + c
    over B global pairs and z_ij = 1 for i = j, else -1,
    L = -1/B sum_ij log sigmoid(z_ij l_ij) = 1/B sum_ij log(1 + e^(-z_ij l_ij)).
    Their t' is our log_logit_scale, e^t' our s, their b our c = logit_bias. One pass over the
    tiles yields the loss and dL/dl_ij = -z_ij sigmoid(-z_ij l_ij) / B.

    Args:
        image_embeds: this rank's images, unit L2 norm.
        text_embeds: this rank's texts, unit L2 norm, paired by row.
        log_logit_scale: natural logarithm of the multiplier, fp32.
        logit_bias: fp32; about -10 at initialisation.
        tile_size: edge of a tile; None to suit the device.
    Returns:
        Nats per image: summed over the B^2 pairs and divided by B, fp32. The gradient is that of
        this global loss; for the scale and the bias it is already summed over ranks.
    Raises:
        ValueError: see :meth:`ContrastiveObjective.forward`.
    """
    check_pairs(image_embeds, text_embeds)
    inputs = (image_embeds, text_embeds, log_logit_scale, logit_bias)
    wanted = [torch.is_grad_enabled() and value.requires_grad for value in inputs]
    with torch.no_grad(), torch.autocast(image_embeds.device.type, enabled=False):
        grid = LogitGrid(
            image_embeds, text_embeds, logit_scale=log_logit_scale.exp(), tile_size=tile_size
        )
        if not any(wanted):
            loss = gather.all_reduce_sum_(_visit_tiles(grid, logit_bias, None)[:1])[0]
            return loss.div(grid.num_global).float()
        sums = GradientSums(grid, image_embeds=wanted[0], text_embeds=wanted[1])
        local = _visit_tiles(grid, logit_bias, sums).div_(grid.num_global)
        gradients = sums.finish(1 / grid.num_global)
        scalars = torch.stack([*local, gradients.log_logit_scale])
        total, bias, log_scale = gather.all_reduce_sum_(scalars).float().split(1)
    return attach_gradients(total[0], inputs, (*gradients[:2], log_scale, bias))


def _visit_tiles(
    grid: LogitGrid, logit_bias: Tensor, gradients: GradientSums | None
) -> Float[Tensor, " 2"]:
    """Sum of pair losses and of their bias gradients over this rank's block, fp64, undivided."""
    loss = torch.zeros((), dtype=torch.float64, device=grid.texts.device)
    bias, zero = loss.clone(), grid.texts.new_zeros(())
    for tile in grid:
        tile.logits.add_(logit_bias)
        tile.positives.neg_()  # logits now hold -z l
        loss += torch.logaddexp(tile.logits, zero, out=tile.spare).sum()
        if gradients is not None:
            tile.logits.sigmoid_()
            tile.positives.neg_()  # dL/dl = -z sigmoid(-z l)
            bias += tile.logits.sum()
            gradients.add(tile)
    return torch.stack([loss, bias])
