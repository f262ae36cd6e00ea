"""STORM as evaluations see it: clips of any length, and tokens that can be given up."""

import copy
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vlsuite.models.identity import identity
from vlsuite.models.storm.reduction import Reduction
from vlsuite.models.storm.tower import StormTower
from vlsuite.models.video_text.model import VideoText

#: Frames of several clips that go through together at most; a longer clip goes alone.
_FRAMES_AT_ONCE = 256


class Storm(VideoText):
    """A ``VideoText`` that says how many tokens a clip costs, and can keep fewer."""

    _changed: Reduction | None = None

    @property
    def reduction(self) -> Reduction:
        """Of the tokens of a clip."""
        return self._tower.reduction if self._changed is None else self._changed

    @property
    def fingerprint(self) -> str:
        """See ``Clip``; another reduction is another model."""
        if self._changed is None:
            return super().fingerprint
        return identity(trained=super().fingerprint, reduction=self._changed)

    def tokens_of(self, num_frames: int) -> int:
        """Tokens that are read of a clip of that many frames, after the reduction."""
        return self._tower.tokens_of(num_frames, self.reduction)

    def reduced(
        self,
        *,
        sample_every: int | None = None,
        temporal_pool: int | None = None,
        spatial_pool: int | None = None,
    ) -> "Storm":
        """The same weights with another reduction; what is None stays.

        Raises:
            ConfigError: a number below 1.
        """
        view = copy.copy(self)
        reduction = self.reduction.changed(
            sample_every=sample_every, temporal_pool=temporal_pool, spatial_pool=spatial_pool
        )
        view._changed = None if reduction == self._tower.reduction else reduction
        encode: Any = self._encode
        view._encode = partial(encode, reduction=reduction)
        return view

    @torch.no_grad()
    def embed_clips(
        self, clips: UInt8[Tensor, "batch frames 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """See ``VideoText``; long clips go through one after the other."""
        embed = super().embed_clips
        if clips.ndim != 5:
            return embed(clips)
        at_once = max(1, _FRAMES_AT_ONCE // max(1, clips.shape[1]))
        return torch.cat([embed(part) for part in clips.split(at_once)])

    @property
    def _tower(self) -> StormTower:
        tower = self._built.encoder.visual
        assert isinstance(tower, StormTower)
        return tower
