"""Image-text retrieval in both directions, any number of captions an image.

Definitions of CLIP_benchmark (clip_benchmark/metrics/zeroshot_retrieval.py): an image is a hit
at k if any of its own captions is among its k nearest captions; a caption is a hit at k if its
own image is among its k nearest images.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings, Need
from eval.data.dataset import EvalDataset
from eval.data.rows import CAPTIONED, no_captions
from eval.metrics.chance import chance_of_any_own
from eval.metrics.intervals import (
    CLUSTERED,
    WILSON,
    cluster_bootstrap_score,
    wilson_score,
)
from eval.metrics.ranking import Answer, answers_of, first_entries, to_best_own, to_targets
from eval.report.examples import Side, draw_examples
from eval.report.thumbnails import thumbnail
from eval.results import EvalResult, Example, Origin, Panel, PerImage, PerUnit, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import NOT_OF_CLASSES, TaskFacts, registry

RECALL_AT = (1, 5, 10)


class Gallery(NamedTuple):
    """Everything that is ranked: the images in the scores and their captions."""

    image_rows: Int64[np.ndarray, " images"]
    image_embeds: Float[Tensor, "images embed_dim"]
    captions: list[str]
    owners: Int64[np.ndarray, " captions"]
    text_embeds: Float[Tensor, "captions embed_dim"]


class CosinePlaces(NamedTuple):
    """Where each query of a direction ranks its best right answer; 0 is the top."""

    image_to_text: Int64[np.ndarray, " images"]
    text_to_image: Int64[np.ndarray, " captions"]


class BestEntries(NamedTuple):
    """Numbers of what each query of a direction ranks first, in order."""

    image_to_text: Int64[np.ndarray, "images count"]
    text_to_image: Int64[np.ndarray, "captions count"]


class RankedGallery(NamedTuple):
    """A gallery ranked by cosine."""

    places: CosinePlaces
    best: BestEntries


@registry.register("retrieval")
@dataclass(frozen=True, kw_only=True, slots=True)
class Retrieval:
    """Find the captions of an image, and the image of a caption.

    Scores: image_to_text_recall_at_k and text_to_image_recall_at_k for k = 1, 5, 10. Ties go to
    the lower number (image or caption) in the data set.

    Args:
        dataset: with captions.
        captions_per_image: use the first so many captions of an image; None uses all.
        num_examples: examples of each direction kept for the report.
        seed: of the bootstrap and of the choice of examples.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=CAPTIONED,
        uses=("captions_per_image",),
        only_for=NOT_OF_CLASSES,
        rather="identity_retrieval",
        title="Image-text retrieval",
        headlines=("image_to_text_recall_at_5", "text_to_image_recall_at_5"),
    )

    dataset: EvalDataset
    captions_per_image: int | None = None
    num_examples: int = 0
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        lack = no_captions(dataset)
        return None if lack is None else f"{lack}, or use --task zero_shot"

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "Retrieval":
        """See ``TaskKind``."""
        return cls(
            dataset=dataset,
            captions_per_image=choices.captions_per_image,
            num_examples=choices.num_examples,
            seed=choices.seed,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "retrieval"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "captions_per_image": self.captions_per_image,
            "num_examples": self.num_examples,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return (Need(self.dataset),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed images and captions, then count the places of the right answers."""
        images = embedder.images(model, self.dataset)
        gallery = gallery_of(
            self.dataset, images, model, embedder, captions_per_image=self.captions_per_image
        )
        places = cosine_places(gallery)
        left_out = self.dataset.left_out(images.num_skipped)
        remarks: Settings = {
            "num_captions": len(gallery.captions),
            "num_repeated_captions": len(gallery.captions) - len(set(gallery.captions)),
        }
        return EvalResult(
            benchmark=self.name,
            family="zero_shot",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=self._scores(places, gallery.owners),
            chance=recall_chance(gallery.owners),
            num_samples=len(gallery.image_rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=recall_interval(gallery.owners),
            ),
            details=self.settings() | remarks | self.dataset.remarks(left_out),
            examples=self._examples(gallery, places),
            per_image={
                f"image_to_text_recall_at_{k}": PerImage.pack(
                    places.image_to_text < k, gallery.image_rows, len(self.dataset)
                )
                for k in RECALL_AT
            },
            per_unit={
                f"text_to_image_recall_at_{k}": PerUnit.pack(
                    places.text_to_image < k, gallery.image_rows[gallery.owners]
                )
                for k in RECALL_AT
            },
        )

    def _scores(
        self, places: CosinePlaces, owners: Int64[np.ndarray, " captions"]
    ) -> dict[str, Score]:
        scores = {
            f"image_to_text_recall_at_{k}": wilson_score(places.image_to_text < k)
            for k in RECALL_AT
        }
        for k in RECALL_AT:
            scores[f"text_to_image_recall_at_{k}"] = recall_score(
                places.text_to_image < k, owners, seed=self.seed
            )
        return scores

    def _examples(self, gallery: Gallery, places: CosinePlaces) -> tuple[Example, ...]:
        ends = np.cumsum(np.bincount(gallery.owners)).tolist()

        def picture(image: int) -> Panel:
            encoded = self.dataset.images.read(int(gallery.image_rows[image]))
            return Panel("", image=thumbnail(encoded))

        images = Side(gallery.image_embeds, picture)
        captions = Side(gallery.text_embeds, lambda caption: Panel(gallery.captions[caption]))
        from_images = draw_examples(
            "image_to_text",
            images,
            captions,
            right_answers=lambda image: list(range(ends[image - 1] if image else 0, ends[image])),
            places=places.image_to_text,
            count=self.num_examples,
            seed=self.seed,
        )
        from_captions = draw_examples(
            "text_to_image",
            captions,
            images,
            right_answers=lambda caption: [int(gallery.owners[caption])],
            places=places.text_to_image,
            count=self.num_examples,
            seed=self.seed,
        )
        return from_images + from_captions


def gallery_of(
    dataset: EvalDataset,
    images: ImageEmbeddings,
    model: EmbeddingModel,
    embedder: Embedder,
    *,
    captions_per_image: int | None,
) -> Gallery:
    """The embedded images with their captions, on the model's device.

    Args:
        dataset: with captions.
        images: of the data set.
        captions_per_image: the first so many captions of an image; None takes all.
    """
    assert dataset.captions is not None
    own = [dataset.captions[row][:captions_per_image] for row in images.rows.tolist()]
    captions = [caption for group in own for caption in group]
    return Gallery(
        image_rows=images.rows,
        image_embeds=images.embeds.to(model.device),
        captions=captions,
        owners=np.repeat(np.arange(len(own)), [len(group) for group in own]),
        text_embeds=embedder.texts(model, captions).to(model.device),
    )


def recall_score(
    is_hit: Bool[np.ndarray, " captions"], owners: Int64[np.ndarray, " captions"], *, seed: int
) -> Score:
    """Text-to-image recall: Wilson's interval, or over images as clusters with several captions."""
    if one_caption_each(owners):
        return wilson_score(is_hit)
    return cluster_bootstrap_score(is_hit, owners, seed=seed)


def cosine_places(gallery: Gallery) -> CosinePlaces:
    """Places of the right answers by cosine alone, in both directions."""
    images, captions = _ranked(gallery)
    return CosinePlaces(images[0], captions[0])


def ranked_gallery(gallery: Gallery, *, count: int) -> RankedGallery:
    """The same, and the best ``count`` of all for each query (fewer if there are fewer)."""
    images, captions = _ranked(gallery, first_entries(count))
    return RankedGallery(CosinePlaces(images[0], captions[0]), BestEntries(images[1], captions[1]))


def _ranked(gallery: Gallery, *more: Answer) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Places and what is asked besides, of images and of captions."""
    images, captions = gallery.image_embeds, gallery.text_embeds
    owners = torch.from_numpy(gallery.owners).to(captions.device)
    of_images = answers_of(images, captions, to_best_own(owners), *more)
    of_captions = answers_of(captions, images, to_targets(owners), *more)
    return [one.cpu().numpy() for one in of_images], [one.cpu().numpy() for one in of_captions]


def one_caption_each(owners: Int64[np.ndarray, " captions"]) -> bool:
    """Whether each image has a single caption."""
    return bool((np.bincount(owners) == 1).all())


def recall_chance(owners: Int64[np.ndarray, " captions"]) -> dict[str, float]:
    """Exact chance levels: of any own caption among k drawn, and of the one own image."""
    own_counts = np.bincount(owners)
    one_image = np.ones(1, dtype=np.int64)
    levels = {}
    for k in RECALL_AT:
        levels[f"image_to_text_recall_at_{k}"] = chance_of_any_own(
            own_counts, gallery_size=len(owners), k=k
        )
        levels[f"text_to_image_recall_at_{k}"] = chance_of_any_own(
            one_image, gallery_size=len(own_counts), k=k
        )
    return levels


def recall_interval(owners: Int64[np.ndarray, " captions"]) -> str:
    """Which intervals the recalls have, in words."""
    if one_caption_each(owners):
        return WILSON
    return f"image to text: {WILSON}; text to image: {CLUSTERED}"
