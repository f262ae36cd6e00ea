"""What an evaluation needs from a model, and what it gives back.

Three nouns: a ``Model`` can do some things, each a protocol of its own here (it embeds, matches,
writes captions, answers); an ``Embedder`` runs it over a whole data set; a ``Benchmark`` scores
what comes out and returns an ``EvalResult``. A benchmark says which of those things the model must
be able to do (``eval.tasks.TaskFacts``), and asks the embedder, never the model, for the vectors
of a data set, so several benchmarks share one pass over the pictures.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from eval.data.dataset import EvalDataset
from eval.data.views import PLAIN, ImageTransform, View
from eval.results import EvalResult, Settings
from vlsuite.models.detections import Detections as Detections
from vlsuite.models.detections import MaskRle as MaskRle


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


class DetectionVocabulary(NamedTuple):
    """What a detector looks for.

    Attributes:
        names: of the classes, as annotations and tables call them.
        texts: the words that the detector is given for each, in the same order.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]


@runtime_checkable
class Detector(Model, Protocol):
    """A model that finds things of any names in pictures of any size."""

    def detect(
        self,
        images: Sequence[UInt8[Tensor, "3 height width"]],
        vocabulary: Sequence[str],
        *,
        max_detections: int,
        names_per_pass: int | None = None,
    ) -> list[Detections]:
        """Find everything that the vocabulary names, in each picture.

        Args:
            images: in [0, 255], each of its own size, on any device.
            vocabulary: texts of the classes, at least one (``DetectionVocabulary.texts``).
            max_detections: the best so many of a picture, over all classes.
            names_per_pass: texts scored at a time; None: all of them. A speed setting for a model
                whose scores of a class do not depend on it, and a setting of the evaluation for
                others: it stands in every result.
        """
        ...


@runtime_checkable
class KnowsNames(Protocol):
    """A ``Detector`` that was trained on names of its own."""

    @property
    def own_names(self) -> tuple[str, ...]:
        """As words, those without labels included."""
        ...


@runtime_checkable
class WordsNames(Protocol):
    """A ``Detector`` that puts names into prompts."""

    def with_prompts(self, prompts: Sequence[str]) -> Detector:
        """The same weights with other prompts, and another fingerprint.

        Args:
            prompts: each with ``{c}`` for the name.
        """
        ...


@runtime_checkable
class TakesExamples(Protocol):
    """A ``Detector`` that can be shown what to look for, in place of a name."""

    def with_examples(
        self,
        examples: Mapping[str, Sequence[UInt8[Tensor, "3 height width"]]],
        *,
        around: Sequence[UInt8[Tensor, "3 height width"]],
    ) -> Detector:
        """The same weights, for which these names mean what the pictures show.

        Args:
            examples: pictures of one thing each, cut out, by the name that will stand for it.
            around: some pictures of the kind that will be looked at, one at least: they say what
                is common to pictures, as against words.
        """
        ...


@runtime_checkable
class KeepsNames(Protocol):
    """A ``Detector`` for which names cost time, which a folder can save."""

    def keep_names_in(self, folder: Path) -> None:
        """From now on, read what is known of names there, and add to it."""
        ...


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
