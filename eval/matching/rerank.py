"""Retrieval whose best candidates are put in order by matching, before and after.

As BLIP-2 does it (Li et al. 2023, arXiv 2301.12597, section 4.4; the sum of both scores is read
from LAVIS, blip2_qformer.py): of each query the best candidates by cosine are ordered anew by
matching logit + cosine. LAVIS adds the logit of the class "match"; here it is the log-odds, the
difference of both classes' logits, which is what a model of any make has. By default the cosine is
multiplied by the model's logit scale first (our addition): what contrast and matching say of a
pair then comes in the same unit, where a cosine beside log-odds has next to no say.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int64

from eval.capabilities import EMBEDS, MATCHES, lack_of
from eval.contract import Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.data.rows import CAPTIONED, no_captions
from eval.data.subset import chosen_images
from eval.embedding.pair_logits import Pairs, pair_logits, union_of
from eval.errors import EvaluationError
from eval.metrics.intervals import wilson_score
from eval.metrics.mean_intervals import GAINS_AND_LOSSES
from eval.metrics.paired import paired_means
from eval.metrics.ranking import full_precision
from eval.metrics.reranking import reranked_places
from eval.results import EvalResult, Origin, PerImage, PerUnit, Score, Settings
from eval.task_choices import TaskChoices, task_options
from eval.tasks import NOT_OF_CLASSES, TaskFacts, registry
from eval.zero_shot.retrieval import (
    RECALL_AT,
    Gallery,
    gallery_of,
    ranked_gallery,
    recall_chance,
    recall_interval,
    recall_score,
)


class _Direction(NamedTuple):
    """Places of the right answers before and after, and which query belongs to which image."""

    before: Int64[np.ndarray, " queries"]
    after: Int64[np.ndarray, " queries"]
    images: Int64[np.ndarray, " queries"]
    num_reachable: int


@task_options.register("retrieval_rerank")
@dataclass(frozen=True, kw_only=True, slots=True)
class RerankOptions:
    """Choices of retrieval with matching.

    Attributes:
        candidates: best entries by cosine that matching puts in a new order, for each query.
        similarity: what is added to the matching log-odds: "logit", the cosine times the model's
            own logit scale, or "cosine", as BLIP-2 does it.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    candidates: int = 128
    similarity: Literal["logit", "cosine"] = "logit"
    max_images: int = 0


@registry.register("retrieval_rerank")
@dataclass(frozen=True, kw_only=True, slots=True)
class RetrievalRerank:
    """Retrieval by cosine, then by matching among the best: recalls, and what matching gains.

    Scores: image_to_text_recall_at_k and text_to_image_recall_at_k after matching; the same with
    ``_by_cosine`` before; ``_gain`` is after minus before over the same queries.

    Args:
        dataset: the chosen images, with captions.
        options: how many candidates.
        captions_per_image: use the first so many captions of an image; None uses all.
        seed: of the bootstrap and of the choice of images.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=CAPTIONED,
        demands=(EMBEDS, MATCHES),
        uses=("captions_per_image",),
        options=RerankOptions,
        only_for=NOT_OF_CLASSES,
    )

    dataset: EvalDataset
    options: RerankOptions
    captions_per_image: int | None = None
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_captions(dataset)) is not None:
            return lack
        options = choices.of(RerankOptions)
        if options.candidates < 1 or options.max_images < 0:
            return (
                "retrieval_rerank.candidates must be at least 1 and retrieval_rerank.max_images "
                "at least 0"
            )
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "RetrievalRerank":
        """See ``TaskKind``.

        Raises:
            EvaluationError: what ``missing`` says.
        """
        if (lack := cls.missing(dataset, choices)) is not None:
            raise EvaluationError(lack)
        options = choices.of(RerankOptions)
        return cls(
            dataset=chosen_images(dataset, options.max_images, seed=choices.seed),
            options=options,
            captions_per_image=choices.captions_per_image,
            seed=choices.seed,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "retrieval_rerank"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "candidates": self.options.candidates,
            "captions_per_image": self.captions_per_image,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``; pictures are decoded once more for matching."""
        return (Need(self.dataset),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Rank by cosine, match the best of both directions, rank again.

        Raises:
            EvaluationError: the model does not match pairs, or gives NaN or infinity.
        """
        if (lack := lack_of(model, self.facts.demands)) is not None:
            raise EvaluationError(f"{lack}; leave retrieval_rerank out")
        images = embedder.images(model, self.dataset)
        gallery = gallery_of(
            self.dataset, images, model, embedder, captions_per_image=self.captions_per_image
        )
        from_images, from_captions = self._directions(gallery, model, embedder)
        left_out = self.dataset.left_out(images.num_skipped)
        remarks: Settings = {
            "num_captions": len(gallery.captions),
            "score": f"matching log-odds + {self.options.similarity}",
            "reachable_image_to_text": from_images.num_reachable / len(from_images.before),
            "reachable_text_to_image": from_captions.num_reachable / len(from_captions.before),
        }
        return EvalResult(
            benchmark=self.name,
            family="matching",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=self._scores(from_images, from_captions),
            chance=recall_chance(gallery.owners),
            num_samples=len(gallery.image_rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{recall_interval(gallery.owners)}; gain: 95% {GAINS_AND_LOSSES}",
            ),
            details=self.settings() | remarks | self.dataset.remarks(left_out),
            per_image={
                f"image_to_text_recall_at_{k}": PerImage.pack(
                    from_images.after < k, gallery.image_rows, len(self.dataset)
                )
                for k in RECALL_AT
            },
            per_unit={
                f"{name}_recall_at_{k}{suffix}": PerUnit.pack(hits, gallery.image_rows[side.images])
                for name, side in (("image_to_text", from_images), ("text_to_image", from_captions))
                for k in RECALL_AT
                for suffix, hits in (("", side.after < k), ("_by_cosine", side.before < k))
                if (name, suffix) != ("image_to_text", "")
            },
        )

    def _directions(
        self, gallery: Gallery, model: EmbeddingModel, embedder: Embedder
    ) -> tuple[_Direction, _Direction]:
        count, owners = self.options.candidates, gallery.owners
        before, (captions, images) = ranked_gallery(gallery, count=count)
        pairs = union_of(captions, images)
        logits = pair_logits(
            model, embedder, self.dataset, gallery.image_rows, gallery.captions, pairs
        )
        scale = model.logit_scale if self.options.similarity == "logit" else 1.0
        scores = logits + scale * _cosines(gallery, pairs)
        image_numbers, caption_numbers = np.arange(len(captions)), np.arange(len(images))
        own_images = np.broadcast_to(image_numbers[:, None], captions.shape)
        own_captions = np.broadcast_to(caption_numbers[:, None], images.shape)
        is_own_caption = owners[captions] == own_images
        is_own_image = images == owners[:, None]
        return (
            _Direction(
                before.image_to_text,
                reranked_places(
                    captions,
                    scores[pairs.places(own_images, captions)],
                    is_own_caption,
                    before.image_to_text,
                ),
                image_numbers,
                int(is_own_caption.any(axis=1).sum()),
            ),
            _Direction(
                before.text_to_image,
                reranked_places(
                    images,
                    scores[pairs.places(images, own_captions)],
                    is_own_image,
                    before.text_to_image,
                ),
                owners,
                int(is_own_image.any(axis=1).sum()),
            ),
        )

    def _scores(self, from_images: _Direction, from_captions: _Direction) -> dict[str, Score]:
        scores: dict[str, Score] = {}
        gains: dict[str, Score] = {}
        sides = (("image_to_text", from_images), ("text_to_image", from_captions))
        for name, side in sides:
            for k in RECALL_AT:
                for suffix, places in (("", side.after), ("_by_cosine", side.before)):
                    hits = places < k
                    scores[f"{name}_recall_at_{k}{suffix}"] = (
                        wilson_score(hits)
                        if side is from_images
                        else recall_score(hits, side.images, seed=self.seed)
                    )
                gains[f"{name}_recall_at_{k}_gain"] = paired_means(
                    (side.after < k).astype(np.float64),
                    (side.before < k).astype(np.float64),
                    images=side.images,
                    unit="points",
                    seed=self.seed,
                )
        first = {n: s for n, s in scores.items() if n.endswith("_at_1")}
        first |= {n: s for n, s in gains.items() if n.endswith("_at_1_gain")}
        return first | scores | gains


def _cosines(gallery: Gallery, pairs: Pairs) -> Float[np.ndarray, " pairs"]:
    """Of the pairs alone, a million at a time."""
    parts = []
    with full_precision():
        for start in range(0, len(pairs.images), 1 << 20):
            images = gallery.image_embeds[pairs.images[start : start + (1 << 20)]]
            texts = gallery.text_embeds[pairs.texts[start : start + (1 << 20)]]
            parts.append((images * texts).sum(dim=-1).float().cpu().numpy())
    return np.concatenate(parts)
