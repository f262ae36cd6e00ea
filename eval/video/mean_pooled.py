"""The baseline of every table about videos: an image tower, and the mean of what it says."""

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import normalize

from eval.contract import ClipEmbeddingModel, CountsTokens, EmbeddingModel, Model
from eval.data.views import ImageTransform

_AT_ONCE = 128  # frames


class MeanPooled:
    """Any ``EmbeddingModel`` as a ``ClipEmbeddingModel`` that is blind to order.

    A clip is the mean of the unit-norm embeddings of its frames, normalised again, as in CLIP4Clip
    (Luo et al. 2021, arXiv 2104.08860, section 3.3, "parameter-free type"). The sum is taken in
    float64, so that the order of the frames does not show in its last digits.

    Args:
        model: its image tower is used even where it has a way of its own with clips.
        clip_frames: frames of a clip by default; None takes the model's own, else 8.
    """

    def __init__(self, model: EmbeddingModel, *, clip_frames: int | None = None) -> None:
        own = model.clip_frames if isinstance(model, ClipEmbeddingModel) else 8
        self._model = model
        self._clip_frames = own if clip_frames is None else clip_frames

    @property
    def name(self) -> str:
        """Of the model."""
        return self._model.name

    @property
    def model(self) -> EmbeddingModel:
        """Whose pictures are averaged."""
        return self._model

    @property
    def fingerprint(self) -> str:
        """Of the model."""
        return self._model.fingerprint

    @property
    def image_transform(self) -> ImageTransform:
        """Of the model."""
        return self._model.image_transform

    @property
    def device(self) -> torch.device | str:
        """Of the model."""
        return self._model.device

    @property
    def embed_dim(self) -> int:
        """Of the model."""
        return self._model.embed_dim

    @property
    def logit_scale(self) -> float:
        """Of the model."""
        return self._model.logit_scale

    @property
    def logit_bias(self) -> float:
        """Of the model."""
        return self._model.logit_bias

    @property
    def clip_frames(self) -> int:
        """See ``ClipEmbeddingModel``."""
        return self._clip_frames

    def embed_images(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Of the model."""
        return self._model.embed_images(images)

    def embed_texts(self, texts: list[str]) -> Float[Tensor, "texts embed_dim"]:
        """Of the model."""
        return self._model.embed_texts(texts)

    def embed_clips(
        self, clips: UInt8[Tensor, "batch frames 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """See the class; zero where the embeddings of the frames cancel each other.

        The image tower sees some frames at a time, so that clips may be of any length.
        """
        batch = clips.shape[0]
        flat = rearrange(clips, "b f c h w -> (b f) c h w")
        embeds = torch.cat([self._model.embed_images(part) for part in flat.split(_AT_ONCE)])
        frames = rearrange(embeds, "(b f) d -> b f d", b=batch)
        return normalize(frames.double().mean(dim=1), dim=-1).float()


def as_clip_model(model: EmbeddingModel) -> ClipEmbeddingModel:
    """The model itself where it embeds clips, else the mean of its pictures."""
    return model if isinstance(model, ClipEmbeddingModel) else MeanPooled(model)


def tokens_of(model: Model, num_frames: int) -> int | None:
    """Visual tokens of a clip, as ``CountsTokens``; of a mean, those of each frame as a picture.

    None where the model does not know.
    """
    if isinstance(model, MeanPooled):
        own = tokens_of(model.model, 1)
        return None if own is None else num_frames * own
    return model.tokens_of(num_frames) if isinstance(model, CountsTokens) else None
