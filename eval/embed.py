"""Data sets to embeddings: one pass, bounded memory, any number of processes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings
from eval.dataset import EvalDataset
from eval.decode import Decoder
from eval.errors import EvaluationError
from eval.process_group import gather_rows, my_rows, ranks
from eval.progress import Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamingEmbedder:
    """Decodes and embeds as it goes; only the embeddings of the whole data set are held.

    With several processes each takes a share of the rows and all end with all embeddings.

    Args:
        decoder: gives the pixels.
        show_progress: whether process 0 writes a progress line to standard error.
    """

    decoder: Decoder
    show_progress: bool = False

    def images(self, model: EmbeddingModel, dataset: EvalDataset) -> ImageEmbeddings:
        """Embed every image that can be decoded; equal pictures are embedded once.

        Raises:
            EvaluationError: no image can be decoded, or the model gives NaN or infinity.
        """
        distinct, positions = np.unique(dataset.images.same_as, return_inverse=True)
        rows = distinct[my_rows(len(distinct))]
        progress = self._progress(dataset, len(rows))
        embeds, is_good = [], []
        for batch in self.decoder.batches(dataset.images, model.image_transform, rows):
            with torch.no_grad():
                embeds.append(model.embed_images(batch.images.to(model.device)).float().cpu())
            is_good.append(torch.from_numpy(batch.is_good))
            if progress:
                progress.add(len(batch.is_good))
        if progress:
            progress.close()
        count, device = len(distinct), model.device
        all_embeds = gather_rows(torch.cat(embeds), count, device=device)[positions]
        all_good = gather_rows(torch.cat(is_good).to(torch.uint8), count, device=device)
        good = all_good.bool().numpy()[positions]
        if not good.any():
            raise EvaluationError(
                f"none of the {len(dataset)} images of {dataset.title} can be decoded; "
                "check the shards with 'vlsuite data validate'"
            )
        kept = all_embeds[torch.from_numpy(good)]
        _refuse_not_finite(kept, model, f"images of {dataset.title}")
        return ImageEmbeddings(kept, np.flatnonzero(good), int((~good).sum()))

    def texts(
        self, model: EmbeddingModel, texts: Sequence[str]
    ) -> Float[Tensor, "texts embed_dim"]:
        """Embed texts; equal texts get the very same vector, so that ties stay ties.

        Raises:
            EvaluationError: the model gives NaN or infinity.
        """
        number: dict[str, int] = {}
        positions = [number.setdefault(text, len(number)) for text in texts]
        distinct = list(number)
        mine = [distinct[row] for row in my_rows(len(distinct))]
        with torch.no_grad():
            local = model.embed_texts(mine).float()
        embeds = gather_rows(local, len(distinct), device=model.device)
        _refuse_not_finite(embeds, model, "texts")
        return embeds[positions]

    def _progress(self, dataset: EvalDataset, count: int) -> Progress | None:
        if not self.show_progress or ranks().rank:
            return None
        return Progress(f"embedding {dataset.title}", total=count, unit="images")


class RememberingEmbedder:
    """Embeds the images of each data set once, for several benchmarks of one unchanged model.

    Args:
        inner: what embeds.
    """

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self._images: dict[str, ImageEmbeddings] = {}

    def images(self, model: EmbeddingModel, dataset: EvalDataset) -> ImageEmbeddings:
        """As the inner embedder, from memory where the same data was asked for before."""
        if dataset.revision not in self._images:
            self._images[dataset.revision] = self._inner.images(model, dataset)
        return self._images[dataset.revision]

    def texts(
        self, model: EmbeddingModel, texts: Sequence[str]
    ) -> Float[Tensor, "texts embed_dim"]:
        """As the inner embedder."""
        return self._inner.texts(model, texts)


def _refuse_not_finite(embeds: Tensor, model: EmbeddingModel, what: str) -> None:
    """NaN compares as false with everything and would quietly rank first."""
    bad = int((~torch.isfinite(embeds).all(dim=-1)).sum())
    if bad:
        raise EvaluationError(
            f"model {model.name} gives NaN or infinity for {bad} of {len(embeds)} {what}; "
            "check its weights, or evaluate in fp32"
        )
