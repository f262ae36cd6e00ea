"""A model of videos and texts as evaluations see it."""

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.video_text.clip_pixels import frames_of


class VideoText(Clip):
    """Satisfies ``EmbeddingModel`` (images are clips of one frame) and ``ClipEmbeddingModel``.

    Args: see :class:`Clip`; the encoder of ``built`` takes clips.
    """

    @property
    def clip_frames(self) -> int:
        """Frames that a clip is shown with by default: those that training ended with."""
        return self._built.clip_frames  # type: ignore[attr-defined]

    def tokens_of(self, num_frames: int) -> int | None:
        """Visual tokens of a clip of so many frames; None where the tower does not say."""
        tower: Any = self._built.encoder.visual
        height, width = self._built.preprocess["size"]
        return tower.tokens_of(num_frames, size=(height, width))

    @torch.no_grad()
    def embed_clips(
        self, clips: UInt8[Tensor, "batch frames 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm fp32 embeddings of clips in [0, 255], on the device.

        Raises:
            ConfigError: more frames than the model takes, or clips of another shape or type.
        """
        pixels = frames_of(
            clips,
            name=self.name,
            size=self._built.preprocess["size"],
            mean=self._mean,
            std=self._std,
            device=self.device,
            dtype=self._dtype,
        )
        encode: Any = self._encode
        embeds = encode(pixels, None, num_frames=(clips.shape[1],) * clips.shape[0]).image_embeds
        assert embeds is not None
        return embeds
