"""The one loop that embeds items batch by batch: for folders of embeddings, and beside tables.

Each output takes the batches as they come, keeps of them what it stores, and says itself what is
there already: ``vlsuite.models.embed_parts``, ``vlsuite.models.embed_shards``.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from data_pipelines.embeddings.item import IMAGES, TEXTS, Item
from data_pipelines.embeddings.writing import Skip
from vlsuite.batches.close_view import view_of
from vlsuite.models.item_batches import Batch, batches

#: Numbers that vectors are stored as.
DTYPES = {"fp16": np.float16, "fp32": np.float32}
#: What the model computes in; "fp32" as evaluations do.
PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@runtime_checkable
class PairEmbedder(Protocol):
    """A dual encoder; ``vlsuite.models.dual_encoder.clip.Clip`` is one."""

    @property
    def fingerprint(self) -> str:
        """Of everything that embeddings depend on."""
        ...

    @property
    def image_transform(self) -> Callable[..., Tensor]:
        """Picture to the pixels that it embeds."""
        ...

    def embed_images(self, images: Tensor) -> Tensor:
        """Unit vectors."""
        ...

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Unit vectors."""
        ...


@runtime_checkable
class Embedder(PairEmbedder, Protocol):
    """One that says of itself what a folder of embeddings keeps.

    ``eval.contract.EmbeddingModel`` is one.
    """

    @property
    def name(self) -> str:
        """As results call it."""
        ...

    @property
    def embed_dim(self) -> int:
        """Numbers of a vector."""
        ...

    @property
    def device(self) -> torch.device | str:
        """Where it computes."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedding:
    """How items are embedded and stored.

    Attributes:
        kind: ``images``, ``texts`` or ``both`` of each sample.
        layout: of ``data_pipelines.embeddings.layouts``.
        dtype: fp16 or fp32, of the stored numbers.
        pixels: close (within 2 levels of 255, faster) or exact (as evaluations do).
        precision: fp32, bf16 or fp16, of what the model computes in.
        batch_size: items of a forward pass, which change the last digits; None: 32 on a CPU (more
            pixels are new memory in each batch, which costs a third of the reading), else 256.
    """

    kind: str = IMAGES
    layout: str = "npy"
    dtype: str = "fp16"
    pixels: str = "close"
    precision: str = "fp32"
    batch_size: int | None = None

    def on(self, device: torch.device | str) -> "Embedding":
        """The same with the batch size that a device gets where none was chosen."""
        usual = 32 if torch.device(device).type == "cpu" else 256
        return replace(self, batch_size=self.batch_size or usual)

    def identity(self, model: Embedder) -> dict[str, Any]:
        """All that stored vectors depend on besides the data."""
        return {
            "kind": self.kind,
            "layout": self.layout,
            "dtype": self.dtype,
            "pixels": self.pixels,
            "precision": self.precision,
            "batch_size": self.on(model.device).batch_size,
            "fingerprint": model.fingerprint,
            "embed_dim": model.embed_dim,
            "device": torch.device(model.device).type,
        }


class EmbeddedBatch(NamedTuple):
    """Items of a forward pass, their vectors by kind, and those that were left out before them."""

    items: list[Item]
    vectors: dict[str, Float32[np.ndarray, "batch embed_dim"]]
    skips: list[Skip]


def embedded_batches(
    model: PairEmbedder,
    items: Iterable[Item],
    how: Embedding,
    *,
    device: torch.device | str = "cpu",
    threads: int = 0,
) -> Iterator[EmbeddedBatch]:
    """All items in order, embedded or left out; the vectors are empty where all are left out.

    Args:
        items: with pictures, captions or both, as the kind needs.
        how: with a batch size.
        device: where the model computes.
        threads: that decode ahead; 0 decodes in between.
    """
    assert how.batch_size is not None
    view = view_of(model.image_transform, how.pixels)
    for batch in batches(items, view, size=how.batch_size, threads=threads):
        with torch.inference_mode(), computing_in(how.precision, device):
            vectors = _vectors(model, batch, with_texts=how.kind != IMAGES)
        # the encoded pictures are not kept
        own = [item._replace(picture=None) for item in batch.items]
        yield EmbeddedBatch(own, vectors, batch.skips)


def _vectors(
    model: PairEmbedder, batch: Batch, *, with_texts: bool
) -> dict[str, Float32[np.ndarray, "batch embed_dim"]]:
    found = {}
    if batch.pixels:
        found[IMAGES] = model.embed_images(torch.stack(batch.pixels))
    if batch.items and with_texts:
        found[TEXTS] = model.embed_texts([item.caption or "" for item in batch.items])
    return {kind: vectors.float().cpu().numpy() for kind, vectors in found.items()}


def computing_in(precision: str, device: torch.device | str) -> AbstractContextManager[Any]:
    """A block in which a model computes in one of ``PRECISIONS``."""
    low = PRECISIONS[precision]
    return nullcontext() if low is None else torch.autocast(torch.device(device).type, low)
