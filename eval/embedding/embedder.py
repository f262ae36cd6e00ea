"""From a data set to embeddings: pictures in one streaming pass, texts without repetition."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from data_pipelines.errors import BadSampleError
from data_pipelines.texts import listed
from eval.contract import (
    Embedder,
    EmbeddingModel,
    ImageEmbeddings,
    Model,
    Need,
    PictureBatch,
    PictureModel,
)
from eval.data.dataset import EvalDataset
from eval.data.views import PLAIN, Frame, ImageTransform, View
from eval.embedding.decode import Decoder, ImageBatch
from eval.embedding.prompts import class_embeds
from eval.embedding.unusable import why_unusable
from eval.errors import EvaluationError
from eval.process_group import gather_rows, my_rows, ranks
from eval.progress import Progress


class ViewBatch(NamedTuple):
    """A batch of pictures of one view.

    Attributes:
        view: number of the view among those asked for.
        first: place of the batch among the rows asked for.
        images: what the model is shown, on its device; black where ``is_good`` is false.
        is_good: whether the picture could be decoded.
    """

    view: int
    first: int
    images: UInt8[Tensor, "batch 3 height width"]
    is_good: Bool[np.ndarray, " batch"]


def stream_views(
    decoder: Decoder,
    model: PictureModel,
    dataset: EvalDataset,
    rows: Int64[np.ndarray, " rows"],
    views: Sequence[View],
) -> Iterator[ViewBatch]:
    """Each picture read and decoded once, then shown in all views, batch by batch."""
    frames: list[Frame] = list(dict.fromkeys(view.frame for view in views))
    batches = decoder.batches(dataset.images, model.image_transform, rows, frames)
    with ThreadPoolExecutor(2, thread_name_prefix="transform") as pool:
        for batch in batches:
            pixels = batch.images.to(model.device)
            for number, view in enumerate(views):
                if view.frame == frames[batch.frame]:
                    shown = _shown(view, pixels, batch, model.image_transform, pool)
                    yield ViewBatch(number, batch.first, shown, batch.is_good)


def _shown(
    view: View,
    pixels: Tensor,
    batch: ImageBatch,
    transform: ImageTransform,
    pool: ThreadPoolExecutor,
) -> Tensor:
    if not batch.is_good.any():
        return pixels
    changed = view.apply(pixels, batch.image_ids.tolist())
    if not view.needs_transform:
        return changed
    pictures = pool.map(lambda image: transform(to_pil_image(image)), changed.cpu())
    return torch.stack(list(pictures)).to(pixels.device)


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

    def prepare(self, model: EmbeddingModel, needs: Sequence[Need]) -> None:
        """Nothing: everything is computed when it is asked for."""

    def images(
        self, model: EmbeddingModel, dataset: EvalDataset, view: View = PLAIN
    ) -> ImageEmbeddings:
        """Embed every image that can be decoded; equal pictures are embedded once.

        Raises:
            EvaluationError: no image can be decoded, or the model gives NaN or infinity.
        """
        distinct, positions = np.unique(dataset.images.same_as, return_inverse=True)
        rows = distinct[my_rows(len(distinct))]
        progress = self._progress(dataset, len(rows))
        embeds, is_good = [], []
        for batch in stream_views(self.decoder, model, dataset, rows, (view,)):
            with torch.no_grad():
                embeds.append(model.embed_images(batch.images).float().cpu())
            is_good.append(torch.from_numpy(batch.is_good))
            if progress:
                progress.add(len(batch.is_good))
        if progress:
            progress.close()
        count, device = len(distinct), model.device
        all_embeds = gather_rows(torch.cat(embeds), count, device=device)[positions]
        all_good = gather_rows(torch.cat(is_good).to(torch.uint8), count, device=device)
        good = all_good.bool().numpy()[positions]
        refuse_all_broken(good, dataset, model, view)
        kept = all_embeds[torch.from_numpy(good)]
        refuse_not_finite(kept, model, f"images of {dataset.title}")
        return ImageEmbeddings(kept, np.flatnonzero(good), int((~good).sum()))

    def pictures(
        self,
        model: PictureModel,
        dataset: EvalDataset,
        rows: Int64[np.ndarray, " rows"],
        view: View = PLAIN,
    ) -> Iterator[PictureBatch]:
        """See ``Embedder``; each process goes through the rows it is given."""
        for batch in stream_views(self.decoder, model, dataset, rows, (view,)):
            own = rows[batch.first : batch.first + len(batch.is_good)]
            good = torch.from_numpy(batch.is_good)
            if good.any():
                yield PictureBatch(own[batch.is_good], batch.images.cpu()[good])

    def remembered(self, model: Model, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Computed anew: nothing is kept."""
        return compute()

    def folder(self, model: Model, key: str) -> Path | None:
        """None: nothing is kept."""
        return None

    def texts(
        self, model: EmbeddingModel, texts: Sequence[str]
    ) -> Float[Tensor, "texts embed_dim"]:
        """Embed texts; equal texts get the very same vector, so that ties stay ties.

        Raises:
            EvaluationError: the model gives NaN or infinity.
        """
        texts = listed(texts)
        number: dict[str, int] = {}
        positions = [number.setdefault(text, len(number)) for text in texts]
        distinct = list(number)
        mine = [distinct[row] for row in my_rows(len(distinct))]
        with torch.no_grad():
            local = model.embed_texts(mine).float()
        embeds = gather_rows(local, len(distinct), device=model.device)
        refuse_not_finite(embeds, model, "texts")
        return embeds[positions]

    def class_embeds(
        self, model: EmbeddingModel, class_names: Sequence[str], templates: Sequence[str]
    ) -> Float[Tensor, "classes embed_dim"]:
        """See ``eval.embedding.prompts.class_embeds``."""
        return class_embeds(lambda texts: self.texts(model, texts), class_names, templates)

    def _progress(self, dataset: EvalDataset, count: int) -> Progress | None:
        if not self.show_progress or ranks().rank:
            return None
        return Progress(f"embedding {dataset.title}", total=count, unit="images")


class RememberingEmbedder:
    """Embeds each view of a data set once, for several benchmarks of one unchanged model.

    Args:
        inner: what embeds.
    """

    def __init__(self, inner: Embedder) -> None:
        self._inner = inner
        self._images: dict[tuple[str, str], ImageEmbeddings] = {}
        self._classes: dict[tuple[tuple[str, ...], tuple[str, ...]], Tensor] = {}

    def prepare(self, model: EmbeddingModel, needs: Sequence[Need]) -> None:
        """As the inner embedder."""
        self._inner.prepare(model, needs)

    def images(
        self, model: EmbeddingModel, dataset: EvalDataset, view: View = PLAIN
    ) -> ImageEmbeddings:
        """As the inner embedder, from memory where the same was asked for before."""
        key = (dataset.pictures_revision, view.key)
        if key not in self._images:
            self._images[key] = self._inner.images(model, dataset, view)
        return self._images[key]

    def pictures(
        self,
        model: PictureModel,
        dataset: EvalDataset,
        rows: Int64[np.ndarray, " rows"],
        view: View = PLAIN,
    ) -> Iterator[PictureBatch]:
        """As the inner embedder."""
        return self._inner.pictures(model, dataset, rows, view)

    def remembered(self, model: Model, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """As the inner embedder."""
        return self._inner.remembered(model, key, compute)

    def folder(self, model: Model, key: str) -> Path | None:
        """As the inner embedder."""
        return self._inner.folder(model, key)

    def texts(
        self, model: EmbeddingModel, texts: Sequence[str]
    ) -> Float[Tensor, "texts embed_dim"]:
        """As the inner embedder."""
        return self._inner.texts(model, texts)

    def class_embeds(
        self, model: EmbeddingModel, class_names: Sequence[str], templates: Sequence[str]
    ) -> Float[Tensor, "classes embed_dim"]:
        """As the inner embedder, from memory where the same was asked for before."""
        key = (tuple(listed(class_names)), tuple(listed(templates)))
        if key not in self._classes:
            self._classes[key] = self._inner.class_embeds(model, class_names, templates)
        return self._classes[key]


def refuse_all_broken(
    is_good: Bool[np.ndarray, " images"],
    dataset: EvalDataset,
    model: Model | None = None,
    view: View = PLAIN,
) -> None:
    """Raise where there is nothing to score.

    Args:
        is_good: whether each picture can be used.
        dataset: of the pictures.
        model: whose transform made the pictures of the view; None where none was made.
        view: how they were to be shown.
    Raises:
        EvaluationError: no image can be used; with what the first one lacks.
    """
    if is_good.any():
        return
    error = None
    if isinstance(model, PictureModel) and len(dataset):
        error = why_unusable(dataset, 0, view.frame, model.image_transform)
    if isinstance(error, BadSampleError) and error.kind == "too small":
        raise EvaluationError(
            f"none of the {len(dataset)} images of {dataset.title} can be used; the first is "
            f"{error}"
        )
    raise EvaluationError(
        f"none of the {len(dataset)} images of {dataset.title} can be decoded"
        f"{f' (the first: {error})' if error else ''}; check the shards with "
        "'vlsuite data validate'"
    )


def refuse_not_finite(embeds: Tensor, model: EmbeddingModel, what: str) -> None:
    """NaN compares as false with everything and would quietly rank first.

    Raises:
        EvaluationError: the model gives NaN or infinity.
    """
    bad = int((~torch.isfinite(embeds).all(dim=-1)).sum())
    if bad:
        raise EvaluationError(
            f"model {model.name} gives NaN or infinity for {bad} of {len(embeds)} {what}; "
            "check its weights, or evaluate in fp32"
        )
