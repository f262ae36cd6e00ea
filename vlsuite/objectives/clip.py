"""Softmax contrastive loss (InfoNCE) of CLIP, tile by tile, equal on any number of ranks."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vlsuite.objectives import gather, registry
from vlsuite.objectives.contrastive import ContrastiveObjective
from vlsuite.objectives.objective import Losses, attach_gradients, check_pairs, check_settings
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.tiles import GradientSums, LogitGrid


@registry.register("clip")
@dataclass(frozen=True, kw_only=True, slots=True)
class ClipConfig:
    """Settings of the CLIP objective.

    Args:
        init_logit_scale: multiplier at the start; 1/0.07 as in Radford et al. 2021, section 2.5.
        max_logit_scale: the multiplier never exceeds it; 100 in the same section.
        tile_size: edge of the tiles the logits are computed in; none to suit the device.
    """

    init_logit_scale: float = 1 / 0.07
    max_logit_scale: float = 100.0
    tile_size: int | None = None

    def __post_init__(self) -> None:
        check_settings(
            init_logit_scale=self.init_logit_scale,
            max_logit_scale=self.max_logit_scale,
            tile_size=self.tile_size,
        )

    def build(self) -> "ClipObjective":
        """The trainable objective, on the CPU."""
        return ClipObjective(
            init_logit_scale=self.init_logit_scale,
            max_logit_scale=self.max_logit_scale,
            tile_size=self.tile_size,
        )


class ClipObjective(ContrastiveObjective):
    """:func:`softmax_loss` with its learned scale.

    The softmax does not change when all logits shift, so there is no bias, and a pretrained one
    given to ``set_logit_scale`` has no effect.
    """

    def forward(
        self,
        image_embeds: Float[Tensor, "batch embed_dim"],
        text_embeds: Float[Tensor, "batch embed_dim"],
        keys: PairKeys | None = None,
    ) -> Losses:
        """See :meth:`ContrastiveObjective.forward`."""
        total = softmax_loss(
            image_embeds, text_embeds, self.log_logit_scale, tile_size=self.tile_size
        )
        return Losses(total, {"clip": total.detach()})


def softmax_loss(
    image_embeds: Float[Tensor, "batch embed_dim"],
    text_embeds: Float[Tensor, "batch embed_dim"],
    log_logit_scale: Float[Tensor, " 1"],
    *,
    tile_size: int | None,
) -> Float[Tensor, ""]:
    """Pick each image's text among all texts of the global batch, and the reverse.

    Radford et al. 2021, arXiv 2103.00020, Figure 3. With l_ij = s x_i . y_j over B global pairs,
    L = 1/(2B) sum_i [(log sum_j e^l_ij - l_ii) + (log sum_j e^l_ji - l_ii)]. Their t is our
    log_logit_scale, e^t our s. Departure: the logits exist one tile at a time. A first pass
    finds the log-sum-exp of every row and column, a second, only where gradients are wanted,
    recomputes the tiles for dL/dl_ij = (P_ij + Q_ij - 2 [i = j]) / (2B), with P and Q the
    softmax over rows and over columns.

    Args:
        image_embeds: this rank's images, unit L2 norm.
        text_embeds: this rank's texts, unit L2 norm, paired by row.
        log_logit_scale: natural logarithm of the multiplier, fp32.
        tile_size: edge of a tile; None to suit the device.
    Returns:
        Nats per pair, averaged over both directions and the global batch, fp32. The gradient is
        that of this global loss; for log_logit_scale it is already summed over ranks.
    Raises:
        ValueError: see :meth:`ContrastiveObjective.forward`.
    """
    check_pairs(image_embeds, text_embeds)
    inputs = (image_embeds, text_embeds, log_logit_scale)
    wanted = [torch.is_grad_enabled() and value.requires_grad for value in inputs]
    with torch.no_grad(), torch.autocast(image_embeds.device.type, enabled=False):
        grid = LogitGrid(
            image_embeds, text_embeds, logit_scale=log_logit_scale.exp(), tile_size=tile_size
        )
        statistics = _statistics(grid)
        loss = _local_loss(statistics)
        if not any(wanted):
            return gather.all_reduce_sum_(loss).div(2 * grid.num_global).float()
        sums = GradientSums(grid, image_embeds=wanted[0], text_embeds=wanted[1])
        _add_gradients(grid, statistics, sums)
        gradients = sums.finish(1 / (2 * grid.num_global))
        scalars = gather.all_reduce_sum_(torch.stack([loss, gradients.log_logit_scale]))
        total = scalars[0].div(2 * grid.num_global).float()
    return attach_gradients(total, inputs, (*gradients[:2], scalars[1:].float()))


class _LogSumExp:
    """Running log-sum-exp of many vectors: largest value and sum relative to it, fp32."""

    def __init__(self, length: int, device: torch.device) -> None:
        self.largest = torch.full((length,), -math.inf, device=device)
        self.total = torch.zeros(length, device=device)

    def update(self, part: slice, logits: Tensor, *, dim: int, spare: Tensor) -> None:
        """Take in one tile, reduced over ``dim``; ``spare`` is overwritten, ``logits`` not."""
        before = self.largest[part]
        largest = torch.maximum(before, logits.amax(dim))
        torch.sub(logits, largest.unsqueeze(dim), out=spare).exp_()
        self.total[part] = self.total[part] * (before - largest).exp_() + spare.sum(dim)
        self.largest[part] = largest

    def merge_over_ranks(self) -> None:
        """Let every rank hold the log-sum-exp over what all ranks took in."""
        largest = gather.all_reduce_max_(self.largest.clone())
        self.total *= (self.largest - largest).exp_()
        gather.all_reduce_sum_(self.total)
        self.largest = largest

    def softmax(self, part: slice, logits: Tensor, *, dim: int, out: Tensor) -> None:
        """Write to ``out`` a tile's share of the softmax over ``dim`` of the whole grid.

        Subtracting ``largest`` is nearly exact; subtracting the log-sum-exp instead, about 100
        in size, would cost a relative 4e-6.
        """
        torch.sub(logits, self.largest[part].unsqueeze(dim), out=out).exp_()
        out.mul_(self.total[part].reciprocal().unsqueeze(dim))


class _Statistics(NamedTuple):
    rows: _LogSumExp  # local images over all texts
    columns: _LogSumExp  # all texts over all images
    positives: Float[Tensor, " batch"]
    local_columns: slice  # this rank's texts


def _statistics(grid: LogitGrid) -> _Statistics:
    device = grid.texts.device
    rows, columns = _LogSumExp(grid.num_local, device), _LogSumExp(grid.num_global, device)
    positives = grid.texts.new_empty(grid.num_local)
    for tile in grid:
        positives[tile.positive_rows] = tile.positives
        rows.update(tile.rows, tile.logits, dim=1, spare=tile.spare)
        columns.update(tile.columns, tile.logits, dim=0, spare=tile.spare)
    columns.merge_over_ranks()
    return _Statistics(rows, columns, positives, grid.local_columns)


def _local_loss(statistics: _Statistics) -> Float[Tensor, ""]:
    """Sum over this rank's pairs and both directions, fp64 (near zero loss, no cancellation)."""
    rows, columns, positives, local = statistics
    image_to_text = (rows.largest - positives) + rows.total.log()
    text_to_image = (columns.largest[local] - positives) + columns.total[local].log()
    return (image_to_text + text_to_image).sum(dtype=torch.float64)


def _add_gradients(grid: LogitGrid, statistics: _Statistics, sums: GradientSums) -> None:
    for tile in grid:
        statistics.rows.softmax(tile.rows, tile.logits, dim=1, out=tile.spare)
        statistics.columns.softmax(tile.columns, tile.logits, dim=0, out=tile.logits)
        # P_ii - 1 + Q_ii - 1 loses less than P_ii + Q_ii - 2 where both are near 1.
        tile.spare_positives.sub_(1)
        tile.positives.sub_(1)
        tile.logits.add_(tile.spare)
        sums.add(tile)
