"""The video tower of Frozen in Time: a vision transformer whose blocks also attend over time.

Bain et al. 2021, arXiv 2104.00650, section 3.1. Patch n of frame f is embedded as its pixels plus
E_space[n] plus E_time[f]; a clip has one class token. Clips of any length up to the rows of E_time
go through together; an image is a clip of one frame.

c = clips, t = frames of all clips, n = patches, w = width
"""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vlsuite.errors import ConfigError
from vlsuite.layers.clip_layout import ClipLayout
from vlsuite.models.frozen_in_time.block import SpaceTimeBlock
from vlsuite.models.frozen_in_time.pooling import Pooling


class VideoTower(nn.Module):
    """Frames of clips to one feature a clip.

    Args:
        patch_embed: frames [t, 3, height, width] to [t, w, rows, columns].
        class_embed: of the class token, w numbers in any shape; None for towers without one.
        positions: E_space of the class token, where it has one, then of the patches, in any
            shape of that many rows of w numbers; None for towers without.
        max_frames: rows of E_time, which are zero at first.
        norm_pre: before the blocks.
        blocks: of the tower.
        pooling: what becomes of the tokens.
    """

    def __init__(
        self,
        *,
        patch_embed: nn.Module,
        class_embed: nn.Parameter | None,
        positions: nn.Parameter | None,
        width: int,
        max_frames: int,
        norm_pre: nn.Module,
        blocks: Sequence[SpaceTimeBlock],
        pooling: Pooling,
    ) -> None:
        super().__init__()
        self.patch_embed = patch_embed
        self.class_embed = class_embed
        self.positions = positions
        self.times = nn.Parameter(torch.zeros(max_frames, width))
        self.norm_pre = norm_pre
        self.blocks = nn.ModuleList(blocks)
        self.pooling = pooling
        self.grad_checkpointing = False

    @property
    def max_frames(self) -> int:
        """Frames of the longest clip that it takes."""
        return self.times.shape[0]

    def tokens_of(self, num_frames: int, *, size: tuple[int, int]) -> int | None:
        """Tokens of a clip of so many frames: patches of all of them, and the class token.

        Args:
            size: height and width of a frame, pixels.
        """
        if not isinstance(self.patch_embed, nn.Conv2d):
            return None
        rows, columns = (
            side // int(step) for side, step in zip(size, self.patch_embed.stride, strict=True)
        )
        return num_frames * rows * columns + (self.class_embed is not None)

    def forward(
        self,
        frames: Float[Tensor, "total_frames 3 height width"],
        num_frames: Sequence[int] | None = None,
    ) -> Float[Tensor, "clips features"]:
        """One feature a clip, not normalised.

        Args:
            frames: of all clips, one clip after the other.
            num_frames: of each clip; None: each is one frame.
        Raises:
            ConfigError: a clip is longer than ``max_frames``.
        """
        lengths = [1] * len(frames) if num_frames is None else list(num_frames)
        if max(lengths, default=1) > self.max_frames:
            raise ConfigError(
                f"a clip of {max(lengths)} frames, and the model takes {self.max_frames}; show it "
                "fewer, or train it with a larger model.max_frames"
            )
        layout = ClipLayout(lengths, frames.device)
        tokens = self._embed(frames, layout)
        for block in self.blocks:
            if self.grad_checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, layout, use_reentrant=False)
            else:
                tokens = block(tokens, layout)
        return self.pooling(tokens, layout)

    def _embed(self, frames: Tensor, layout: ClipLayout) -> Float[Tensor, "tokens width"]:
        patches = rearrange(self.patch_embed(frames), "t w rows columns -> t (rows columns) w")
        width = patches.shape[2]
        where = None if self.positions is None else self.positions.reshape(-1, width)
        num_patches = patches.shape[1]
        if where is not None:
            patches = patches + where[len(where) - num_patches :].to(patches.dtype)
        patches = patches + self.times[layout.place_in_clip][:, None].to(patches.dtype)
        tokens = patches.flatten(0, 1)
        if self.class_embed is not None:
            own = self.class_embed.reshape(1, width)
            if where is not None and len(where) > num_patches:
                own = own + where[:1]
            tokens = torch.cat([own.expand(layout.num_clips, -1).to(tokens.dtype), tokens])
        return self.norm_pre(tokens)


class MeanPooledTower(nn.Module):
    """The baseline: any image tower shown frame by frame, its unit-norm features averaged.

    Blind to order by construction.

    Args:
        image: maps images [t, 3, height, width] to features [t, d].
    """

    def __init__(self, image: nn.Module) -> None:
        super().__init__()
        self.image = image

    def tokens_of(self, num_frames: int, *, size: tuple[int, int]) -> int | None:
        """None: the image tower may be of any kind."""
        return None

    def forward(
        self,
        frames: Float[Tensor, "total_frames 3 height width"],
        num_frames: Sequence[int] | None = None,
    ) -> Float[Tensor, "clips features"]:
        """One feature a clip; see :class:`VideoTower`."""
        features = nn.functional.normalize(self.image(frames).float(), dim=-1)
        if num_frames is None:
            return features
        return ClipLayout(num_frames, frames.device).mean_over_frames(features)
