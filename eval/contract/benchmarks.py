"""What is measured, and what runs a model over a whole data set for it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from eval.contract.models import EmbeddingModel, Model, PictureModel
from eval.data.dataset import EvalDataset
from eval.data.views import PLAIN, View
from eval.results import EvalResult, Settings


class Need(NamedTuple):
    """Pictures that a benchmark will ask for: some views of one data set."""

    dataset: EvalDataset
    views: tuple[View, ...] = (PLAIN,)


class PictureBatch(NamedTuple):
    """Some pictures of a data set, as a model is shown them.

    Attributes:
        rows: their numbers in the data set, ascending.
        images: in [0, 255].
    """

    rows: Int64[np.ndarray, " batch"]
    images: UInt8[Tensor, "batch 3 height width"]


class ImageEmbeddings(NamedTuple):
    """The embedded images of a data set, on the CPU, the same on every process.

    Attributes:
        embeds: unit-norm rows of the images that could be decoded.
        rows: their numbers in the data set, ascending.
        num_skipped: images that could not be decoded; they are in no score.
    """

    embeds: Float[Tensor, "images embed_dim"]
    rows: Int64[np.ndarray, " images"]
    num_skipped: int


@runtime_checkable
class Embedder(Protocol):
    """Turns whole data sets into embeddings; how (streamed, remembered, stored) is its business."""

    def prepare(self, model: EmbeddingModel, needs: Sequence[Need]) -> None:
        """Say what will be asked for, so that one pass over each data set can serve all of it."""
        ...

    def images(
        self, model: EmbeddingModel, dataset: EvalDataset, view: View = PLAIN
    ) -> ImageEmbeddings:
        """Embed every image of the data set that can be decoded, as the view shows it."""
        ...

    def pictures(
        self,
        model: PictureModel,
        dataset: EvalDataset,
        rows: Int64[np.ndarray, " rows"],
        view: View = PLAIN,
    ) -> Iterator[PictureBatch]:
        """The chosen pictures themselves, on the CPU, without those that cannot be decoded."""
        ...

    def remembered(self, model: Model, key: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """What ``compute`` gives, or gave under this key for this model in an earlier run."""
        ...

    def folder(self, model: Model, key: str) -> Path | None:
        """Where a benchmark may keep files of its own under this key; None: nowhere."""
        ...

    def texts(
        self, model: EmbeddingModel, texts: Sequence[str]
    ) -> Float[Tensor, "texts embed_dim"]:
        """Embed texts in order, on the CPU, equal texts once."""
        ...

    def class_embeds(
        self, model: EmbeddingModel, class_names: Sequence[str], templates: Sequence[str]
    ) -> Float[Tensor, "classes embed_dim"]:
        """One unit vector a class, on the CPU; see ``eval.embedding.prompts.class_embeds``."""
        ...


@runtime_checkable
class Benchmark(Protocol):
    """One measurement on one data set."""

    @property
    def name(self) -> str:
        """What is measured ("zero_shot"); with data set and split it names the result file."""
        ...

    @property
    def dataset(self) -> EvalDataset:
        """What it is measured on."""
        ...

    def settings(self) -> Settings:
        """Everything besides model and data that the result depends on."""
        ...

    def needs(self) -> tuple[Need, ...]:
        """All pictures that ``run`` will ask the embedder for."""
        ...

    def run(self, model: Any, embedder: Embedder) -> EvalResult:
        """Measure. Collective: with several processes all of them call it and get the result.

        Args:
            model: a ``Model`` that can do what the benchmark demands.
        """
        ...


@runtime_checkable
class Demanding(Protocol):
    """A ``Benchmark`` that demands more of a model than the facts of its task can say."""

    def model_lacks(self, model: Any) -> str | None:
        """What the model cannot do, in one line; None: nothing."""
        ...


@runtime_checkable
class Evaluator(Protocol):
    """What training calls between steps; collective like ``Benchmark.run``."""

    def __call__(self, model: Any) -> list[EvalResult]:
        """Results of the model as it is now."""
        ...
