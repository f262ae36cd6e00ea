"""Similarity logits in tiles: computed, used and overwritten, so nothing quadratic is ever kept.

b = this rank's pairs, B = global pairs, d = embed_dim, t = tile size. Rank r holds image rows
X_r [b, d] and gathers all text rows Y [B, d]; its logits are the block s X_r Y^T [b, B].
Memory of one evaluation: O(b d + B d + t^2).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vlsuite.objectives import gather

# Edge of a square tile. CPU: two fp32 buffers stay in the last-level cache (measured with
# benchmarks.loss_memory). Elsewhere: large enough to fill a GPU; not measured yet.
_CPU_TILE, _DEVICE_TILE = 1024, 4096


class Tile(NamedTuple):
    """A piece of the logits and where it lies; the next tile overwrites all of it.

    ``spare`` has the shape of ``logits`` and is the caller's to use. Entry k, k + ``offset`` is a
    matching pair wherever it lies inside; there are none in most tiles.
    """

    rows: slice
    columns: slice
    logits: Float[Tensor, "rows columns"]
    spare: Float[Tensor, "rows columns"]
    offset: int

    @property
    def positives(self) -> Float[Tensor, " positives"]:
        """View of the matching pairs among ``logits``."""
        return self.logits.diagonal(self.offset)

    @property
    def spare_positives(self) -> Float[Tensor, " positives"]:
        """View of the same entries of ``spare``."""
        return self.spare.diagonal(self.offset)

    @property
    def positive_rows(self) -> slice:
        """The local images of :attr:`positives`."""
        first = self.rows.start + max(0, -self.offset)
        return slice(first, first + len(self.positives))


class LogitGrid:
    """This rank's images against the texts of all ranks; iterate for one pass over the tiles.

    Args:
        image_embeds: this rank's images, [b, d], any float dtype.
        text_embeds: this rank's texts, paired by row; gathered here in their own dtype.
        logit_scale: the multiplier, [1], fp32.
        tile_size: edge of a tile; None for a size that suits the device.
    Raises:
        ValueError: the ranks hold different numbers of pairs.
    """

    def __init__(
        self,
        image_embeds: Float[Tensor, "batch embed_dim"],
        text_embeds: Float[Tensor, "batch embed_dim"],
        *,
        logit_scale: Float[Tensor, " 1"],
        tile_size: int | None,
    ) -> None:
        self.logit_scale = logit_scale.float()
        self.scaled_images = image_embeds.float() * self.logit_scale
        self.texts = gather.all_gather_rows(text_embeds.detach()).float()
        self.num_local, self.num_global = len(image_embeds), len(self.texts)
        self._first_pair = gather.rank() * self.num_local
        self.local_columns = slice(self._first_pair, self._first_pair + self.num_local)
        if tile_size is None:
            tile_size = _CPU_TILE if image_embeds.device.type == "cpu" else _DEVICE_TILE
        self._tile_size = tile_size
        area = min(tile_size, self.num_local) * min(tile_size, self.num_global)
        self._buffers = self.texts.new_empty(2, area)

    def __iter__(self) -> Iterator[Tile]:
        for row in range(0, self.num_local, self._tile_size):
            for column in range(0, self.num_global, self._tile_size):
                yield self._compute(row, column)

    def _compute(self, row: int, column: int) -> Tile:
        rows = slice(row, min(row + self._tile_size, self.num_local))
        columns = slice(column, min(column + self._tile_size, self.num_global))
        shape = (rows.stop - row, columns.stop - column)
        logits, spare = (buffer[: math.prod(shape)].view(shape) for buffer in self._buffers)
        torch.mm(self.scaled_images[rows], self.texts[columns].T, out=logits)
        # Local image i belongs to global text first_pair + i.
        return Tile(rows, columns, logits, spare, offset=self._first_pair + row - column)


class Gradients(NamedTuple):
    """Gradients of one loss; ``log_logit_scale`` is this rank's share, fp64, not yet summed."""

    image_embeds: Float[Tensor, "batch embed_dim"] | None
    text_embeds: Float[Tensor, "batch embed_dim"] | None
    log_logit_scale: Float[Tensor, ""]


class GradientSums:
    """Collect dL/dX_r (complete) and dL/dY (summed over ranks at the end) from tile gradients.

    A side that is not wanted, as with a frozen tower, costs nothing; one side at least is
    collected, because the gradient of the scale follows from it.
    """

    def __init__(self, grid: LogitGrid, *, image_embeds: bool, text_embeds: bool) -> None:
        self._grid = grid
        self._text = torch.zeros_like(grid.texts) if text_embeds else None
        self._image = (
            torch.zeros_like(grid.scaled_images) if image_embeds or not text_embeds else None
        )

    def add(self, tile: Tile) -> None:
        """Add a tile whose ``logits`` the caller has replaced by dL/dlogits, up to a factor."""
        if self._image is not None:
            self._image[tile.rows].addmm_(tile.logits, self._grid.texts[tile.columns])
        if self._text is not None:
            self._text[tile.columns].addmm_(tile.logits.T, self._grid.scaled_images[tile.rows])

    def finish(self, factor: float) -> Gradients:
        """Multiply by ``factor`` and send text gradients to the ranks that own the texts.

        With l_ij = s x_i . y_j, dL/dlog s = sum_ij (dL/dl_ij) l_ij = sum_i (s x_i) . sum_j
        (dL/dl_ij) y_j, a sum over rows that needs no further pass over the tiles.
        """
        image, text, grid = self._image, self._text, self._grid
        if image is not None:
            log_scale = _sum_of_row_dots(grid.scaled_images, image)
            image.mul_(grid.logit_scale * factor)
        else:
            assert text is not None
            log_scale = _sum_of_row_dots(grid.texts, text)
        if text is not None:
            text = gather.reduce_scatter_rows(text.mul_(factor))
        return Gradients(image, text, log_scale * factor)


def _sum_of_row_dots(
    left: Float[Tensor, "rows embed_dim"], right: Float[Tensor, "rows embed_dim"]
) -> Float[Tensor, ""]:
    """sum_i left_i . right_i, fp64; rows are reduced first, so that no fp64 matrix appears."""
    return torch.mul(left, right).sum(dim=1).sum(dtype=torch.float64)
