"""What models can do: each thing a protocol of its own (embed, match, write captions, answer)."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from eval.data.views import ImageTransform


@runtime_checkable
class Model(Protocol):
    """Whatever is evaluated, wherever it runs; what it can do is said by the protocols below."""

    @property
    def name(self) -> str:
        """What result files and tables call the model."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 over weights, preprocessing and tokenizer: equal ones give equal results."""
        ...


@runtime_checkable
class PictureModel(Model, Protocol):
    """A ``Model`` that runs here and is shown batches of pixels."""

    @property
    def image_transform(self) -> ImageTransform:
        """Resize and crop an RGB picture of any size to the model's pixels; thread-safe."""
        ...

    @property
    def device(self) -> torch.device | str:
        """Where the weights are, and where the embeddings come out."""
        ...


@runtime_checkable
class EmbeddingModel(PictureModel, Protocol):
    """A model with a shared embedding space for images and texts.

    Under ZeRO-3 every call is collective: all processes call each method equally often.
    """

    @property
    def embed_dim(self) -> int:
        """Length of an embedding."""
        ...

    @property
    def logit_scale(self) -> float:
        """The multiplier of cosines itself, not its logarithm."""
        ...

    @property
    def logit_bias(self) -> float:
        """Added to every logit; 0 for models without one."""
        ...

    def embed_images(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm fp32 embeddings of pictures in [0, 255], normalised by the model itself."""
        ...

    def embed_texts(self, texts: list[str]) -> Float[Tensor, "texts embed_dim"]:
        """Unit-norm fp32 embeddings; any number of texts, batched by the model itself."""
        ...


@runtime_checkable
class ClipEmbeddingModel(EmbeddingModel, Protocol):
    """An ``EmbeddingModel`` of whole clips; ``eval.video.mean_pooled`` makes one of any other."""

    @property
    def clip_frames(self) -> int:
        """Frames that a clip is shown with by default."""
        ...

    def embed_clips(
        self, clips: UInt8[Tensor, "batch frames 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm fp32 embeddings of frames in [0, 255], any number the model can take."""
        ...


@runtime_checkable
class CountsTokens(Protocol):
    """A ``ClipEmbeddingModel`` that knows how many visual tokens it works with."""

    def tokens_of(self, num_frames: int) -> int | None:
        """Visual tokens that are left of a clip of so many frames after every reduction.

        None where its architecture does not say.
        """
        ...


@runtime_checkable
class ReducibleModel(CountsTokens, Protocol):
    """A model of clips that reads them as tokens, and can do with fewer of them."""

    def reduced(
        self,
        *,
        sample_every: int | None = None,
        temporal_pool: int | None = None,
        spatial_pool: int | None = None,
    ) -> "ReducibleModel":
        """The same weights with fewer tokens, and another fingerprint; what is None stays.

        Args:
            sample_every: keep one of so many frames.
            temporal_pool: mean over so many frames, before that.
            spatial_pool: mean over cells of so many rows and columns.
        """
        ...


@runtime_checkable
class DifferentiableModel(Protocol):
    """An ``EmbeddingModel`` whose image tower can be attacked."""

    def embed_pixels(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """Unit-norm fp32 embeddings of pictures in [0, 1], normalised inside, with gradients."""
        ...


@runtime_checkable
class Matcher(Protocol):
    """An ``EmbeddingModel`` that also looks at picture and text together.

    In two steps, so that a picture compared with many texts is encoded once.
    """

    def image_tokens(
        self, images: UInt8[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch tokens width"]:
        """What ``match_tokens`` needs to know of pictures in [0, 255], on the model's device."""
        ...

    def match_tokens(
        self, tokens: Float[Tensor, "pairs tokens width"], texts: list[str]
    ) -> Float[Tensor, " pairs"]:
        """Log-odds that each picture and its text belong together, fp32; no gradients needed."""
        ...


@runtime_checkable
class Captioner(PictureModel, Protocol):
    """A model that describes pictures."""

    def caption(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        *,
        prompts: Sequence[str] | None = None,
        max_tokens: int,
        num_beams: int = 1,
    ) -> list[str]:
        """One caption a picture, the same ones each time; ``prompts`` come before, not in it."""
        ...


@runtime_checkable
class Answerer(PictureModel, Protocol):
    """A model that answers questions about pictures."""

    def answer(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        questions: list[str],
        *,
        max_tokens: int,
    ) -> list[str]:
        """One short answer a picture and question; how it is prompted is the model's business."""
        ...


@runtime_checkable
class ClipAnswerer(PictureModel, Protocol):
    """A model that answers questions about clips."""

    @property
    def clip_frames(self) -> int:
        """Frames that a clip is shown with by default."""
        ...

    def answer_clips(
        self,
        clips: UInt8[Tensor, "batch frames 3 height width"],
        questions: list[str],
        *,
        max_tokens: int,
    ) -> list[str]:
        """One answer a clip and question, the same ones each time; any number of frames."""
        ...


@runtime_checkable
class Instructed(Protocol):
    """A ``Captioner`` or ``Answerer`` that is told in words what to write."""

    @property
    def wording(self) -> str:
        """These words; kept texts depend on them besides the model's fingerprint."""
        ...
