"""Batches of pictures with captions: what dual encoders and their like are trained on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.captioned import CaptionedBatch
from vlsuite.batches.concepts import ConceptTable, read_concepts
from vlsuite.batches.crops import stacked
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.end_of_text import EndOfText
from vlsuite.batches.sample_reader import BatchFacts, Read
from vlsuite.batches.tokenizer import CachedTokenizer
from vlsuite.batches.transforms import TrainTransform, View, pixels_for, train_transform


@dataclass(frozen=True, kw_only=True, slots=True)
class PairBatch(CaptionedBatch):
    """Row i of images belongs to row i of token_ids; see also ``CaptionedBatch``.

    Attributes:
        images: 0 to 255, not normalised.
        concepts: words for what is in each picture, by row; empty without data.concepts.
    """

    images: UInt8[Tensor, "batch 3 height width"]
    concepts: tuple[tuple[str, ...], ...] = field(default=())

    def pixels(
        self, preprocess: dict[str, Any], *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "batch 3 height width"]:
        """The images on a device, normalised by the mean and std of a model's preprocessing."""
        return pixels_for(self.images, preprocess, device=device, dtype=dtype)


class Pair(NamedTuple):
    """One decoded pair."""

    uid: str
    pixels: Tensor
    caption: str
    caption_number: int
    identity: str | None
    concepts: tuple[str, ...] = ()


def pair_reader(
    data: DataConfig,
    *,
    preprocess: dict[str, Any],
    tokenizer: CachedTokenizer,
    end_of_text: EndOfText | None,
    make: Callable[..., "PairReader"] | None = None,
) -> "PairReader":
    """The reader that a run's settings ask for.

    Args:
        data: of the run.
        preprocess: of the model's pictures: size, interpolation.
        tokenizer: of the model.
        end_of_text: behind which the model allows token ids to be cut; None: nowhere.
        make: takes the arguments of ``PairReader``; None: that itself.
    Raises:
        DataError: the file of concepts cannot be read.
    """
    return (make or PairReader)(
        transform=train_transform(data.augment, preprocess),
        tokenizer=tokenizer,
        caption=data.caption,
        end_of_text=end_of_text if data.trim_text else None,
        concepts=read_concepts(data.concepts) if data.concepts else None,
    )


class PairReader:
    """Draws a caption and a view of the picture; satisfies ``SampleReader``.

    Args:
        transform: makes the training view.
        tokenizer: captions to ids.
        caption: "random" draws one of a sample's captions, "first" takes the first.
        end_of_text: token ids are cut behind that of the batch's longest caption; None: never.
        concepts: words for what is in the pictures, by uid.
    """

    def __init__(
        self,
        *,
        transform: TrainTransform,
        tokenizer: CachedTokenizer,
        caption: Literal["first", "random"] = "random",
        end_of_text: EndOfText | None,
        concepts: ConceptTable | None = None,
    ) -> None:
        self._transform = transform
        self._tokenizer = tokenizer
        self._caption = caption
        self._end_of_text = end_of_text
        self._concepts = concepts

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        """See ``SampleReader``."""
        captions = sample.captions
        texts = captions.texts
        pick = int(rng.integers(len(texts))) if self._caption == "random" else 0
        view = self.view(sample, rng)
        pair = Pair(
            uid=sample.uid,
            pixels=view.pixels,
            caption=texts[pick],
            caption_number=sample.first_caption + pick,
            identity=sample.identity,
            concepts=() if self._concepts is None else self._concepts.of(sample),
        )
        return Read(pair, (*captions.mended, *view.mended))

    def view(self, sample: StoredSample, rng: np.random.Generator) -> View:
        """The picture as it is shown this time."""
        return self._transform.view(sample.image.data, rng)

    def collate(self, contents: Sequence[Pair], facts: BatchFacts) -> PairBatch:
        """See ``SampleReader``."""
        images = stacked([pair.pixels for pair in contents])
        return PairBatch(images=images, **self.columns(contents, facts))

    def columns(self, contents: Sequence[Pair], facts: BatchFacts) -> dict[str, Any]:
        """Fields of the batch besides its pictures."""
        token_ids = self._tokenizer([pair.caption for pair in contents])
        if self._end_of_text is not None:
            token_ids = self._end_of_text.cut(token_ids).contiguous()
        return {
            "token_ids": token_ids,
            "caption_numbers": tuple(pair.caption_number for pair in contents),
            "identities": tuple(pair.identity for pair in contents),
            "concepts": () if self._concepts is None else tuple(pair.concepts for pair in contents),
            **facts._asdict(),
        }
