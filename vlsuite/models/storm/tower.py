"""STORM's encoder of clips: frames to tokens, temporal Mamba layers, fewer tokens, one feature.

Jiang et al. 2025, arXiv 2503.04130: X <- X + Mixer(LN(X)) over all tokens of a clip, row by row
within a frame and then frame by frame, between an image encoder and what reads the tokens. A token
that is kept has heard of those that are dropped. Images are clips of one frame.

b = clips, f = frames of the longest clip, r and c = rows and columns of tokens, w = width
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vlsuite.layers.clip_layout import ClipLayout
from vlsuite.models.storm.frame_encoder import FrameEncoder
from vlsuite.models.storm.head import Reader
from vlsuite.models.storm.reduction import KeptTokens, Reduction, reduce_tokens


class MixedClips(NamedTuple):
    """Clips after the temporal layers.

    Attributes:
        tokens: those of shorter clips are followed by anything.
        layout: of the clips.
        images: the mean of what the image tower says of a clip's frames, each of unit norm.
    """

    tokens: Float[Tensor, "clips frames rows columns width"]
    layout: ClipLayout
    images: Float[Tensor, "clips embed_dim"]


class ClipTokens(nn.Module):
    """Frames of clips to tokens that know of each other.

    Args:
        frames: encodes each frame.
        mixers: temporal layers ``vlsuite.layers.mamba.TemporalMamba``; none is STORM without Mamba.
        reduction: of the tokens, unless a call says otherwise.
        tokens_at_once: of a clip that the layers work on where nothing is learned, and with
            grad_checkpointing; of no effect on the result.
        grad_checkpointing: compute each layer again in the backward pass.
    """

    def __init__(
        self,
        frames: FrameEncoder,
        mixers: Sequence[nn.Module],
        *,
        reduction: Reduction,
        tokens_at_once: int,
        grad_checkpointing: bool,
    ) -> None:
        super().__init__()
        self.frames = frames
        self.mixers = nn.ModuleList(mixers)
        self.reduction = reduction
        self._tokens_at_once = tokens_at_once
        self.grad_checkpointing = grad_checkpointing

    def tokens_of(self, num_frames: int, reduction: Reduction | None = None) -> int:
        """Tokens that are kept of a clip of that many frames."""
        kept = self.reduction if reduction is None else reduction
        return kept.tokens_kept(num_frames, rows=self.frames.rows, columns=self.frames.columns)

    def kept(
        self,
        frames: Float[Tensor, "total_frames 3 height width"],
        num_frames: Sequence[int] | None = None,
        reduction: Reduction | None = None,
    ) -> KeptTokens:
        """The tokens of clips that something behind this reads.

        Args:
            frames: of all clips, one clip after the other.
            num_frames: of each clip; None: each is one frame.
            reduction: instead of the tower's own.
        """
        return self._reduced(self.mixed(frames, num_frames), reduction)

    def mixed(
        self,
        frames: Float[Tensor, "total_frames 3 height width"],
        num_frames: Sequence[int] | None = None,
    ) -> MixedClips:
        """All that is known of clips before tokens are given up; see :meth:`kept`."""
        lengths = [1] * len(frames) if num_frames is None else list(num_frames)
        layout = ClipLayout(lengths, frames.device)
        encoded = self.frames(frames)
        images = nn.functional.normalize(encoded.features.float(), dim=-1)
        tokens = self._mixed_tokens(encoded.tokens, layout)
        return MixedClips(tokens, layout, layout.mean_over_frames(images))

    def _reduced(self, clips: MixedClips, reduction: Reduction | None) -> KeptTokens:
        layout = clips.layout
        chosen = self.reduction if reduction is None else reduction
        kept = reduce_tokens(clips.tokens, layout.num_frames, chosen)
        return kept._replace(is_there=None) if len(layout.by_length) == 1 else kept

    def _mixed_tokens(
        self, tokens: Float[Tensor, "total_frames rows columns width"], layout: ClipLayout
    ) -> Float[Tensor, "clips frames rows columns width"]:
        """The temporal layers over each clip."""
        rows, columns = tokens.shape[1:3]
        clips = rearrange(layout.padded(tokens), "b f r c w -> b (f r c) w")
        is_there = layout.is_there
        if is_there is not None:
            is_there = repeat(is_there, "b f -> b (f cells)", cells=rows * columns)
        for mixer in self.mixers:
            clips = self._mixed_by(mixer, clips, is_there)
        return rearrange(clips, "b (f r c) w -> b f r c w", r=rows, c=columns)

    def _mixed_by(self, mixer: nn.Module, clips: Tensor, is_there: Tensor | None) -> Tensor:
        """One layer: piece by piece where that saves memory, which then computes pieces again."""
        learns = torch.is_grad_enabled()
        if learns and not self.grad_checkpointing:
            return mixer(clips, is_there=is_there)
        if clips.shape[1] > self._tokens_at_once:
            return mixer(clips, is_there=is_there, piece=self._tokens_at_once)
        if learns:
            return checkpoint(mixer, clips, is_there=is_there, use_reentrant=False)
        return mixer(clips, is_there=is_there)


class StormTower(ClipTokens):
    """Frames of clips to one feature a clip.

    Args:
        reader: of the kept tokens.
        from_image: the reader's feature is added to the mean of what the image tower says of the
            frames.
        others: see ``ClipTokens``.
    """

    def __init__(
        self,
        frames: FrameEncoder,
        mixers: Sequence[nn.Module],
        *,
        reader: Reader,
        from_image: bool,
        **others: Any,
    ) -> None:
        super().__init__(frames, mixers, **others)
        self.reader = reader
        self.from_image = from_image

    def forward(
        self,
        frames: Float[Tensor, "total_frames 3 height width"],
        num_frames: Sequence[int] | None = None,
        reduction: Reduction | None = None,
    ) -> Float[Tensor, "clips embed_dim"]:
        """One feature a clip, not normalised.

        Args:
            frames: of all clips, one clip after the other.
            num_frames: of each clip; None: each is one frame.
            reduction: instead of the tower's own.
        """
        return self.read(self.mixed(frames, num_frames), reduction)

    def read(
        self, clips: MixedClips, reduction: Reduction | None = None
    ) -> Float[Tensor, "clips embed_dim"]:
        """What :meth:`forward` gives, with as many tokens as a reduction leaves."""
        found = self.reader(self._reduced(clips, reduction))
        return clips.images + found.float() if self.from_image else found
