"""Text-based person search: all pictures of who is described, from a sentence.

Every picture is in the gallery, every caption is a query; every picture of the caption's identity
is right, as in CUHK-PEDES, ICFG-PEDES and RSTPReid.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from eval.contract import Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.data.rows import CAPTIONED, no_captions
from eval.errors import EvaluationError
from eval.metrics.chance import chance_of_any_own
from eval.metrics.clustered import clustered_mean
from eval.metrics.identity_ranking import (
    IdentityRanking,
    chance_of_average_precision,
    chance_of_negative_penalty,
    rank_identities,
)
from eval.metrics.intervals import CLUSTERED, cluster_bootstrap_score
from eval.results import EvalResult, Origin, PerUnit, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import NOT_OF_CLASSES, TaskFacts, registry
from eval.zero_shot.retrieval import RECALL_AT, gallery_of

INTERVAL = CLUSTERED.replace("images", "identities")


@registry.register("identity_retrieval")
@dataclass(frozen=True, kw_only=True, slots=True)
class IdentityRetrieval:
    """Pictures of a described person (json "identity"): recall at 1, 5 and 10, mAP and mINP.

    Args:
        dataset: with captions and identities.
        captions_per_image: use the first so many captions of an image; None uses all.
        seed: of the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=CAPTIONED,
        uses=("captions_per_image",),
        only_for=NOT_OF_CLASSES,
        score_titles={"mean_average_precision": "mAP", "mean_inverse_negative_penalty": "mINP"},
    )

    dataset: EvalDataset
    captions_per_image: int | None = None
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_captions(dataset)) is not None:
            return lack
        if dataset.identities is None:
            return (
                f"{dataset.title} has images without an identity; each needs a "
                f"{dataset.layout.each('json')} with 'identity'"
            )
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "IdentityRetrieval":
        """See ``TaskKind``.

        Raises:
            EvaluationError: what ``missing`` says.
        """
        if (lack := cls.missing(dataset, choices)) is not None:
            raise EvaluationError(lack)
        return cls(
            dataset=dataset, captions_per_image=choices.captions_per_image, seed=choices.seed
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "identity_retrieval"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {"captions_per_image": self.captions_per_image, "seed": self.seed}

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return (Need(self.dataset),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed images and captions, then rank the images for every caption."""
        images = embedder.images(model, self.dataset)
        gallery = gallery_of(
            self.dataset, images, model, embedder, captions_per_image=self.captions_per_image
        )
        assert self.dataset.identities is not None
        known = [self.dataset.identities[row] for row in images.rows.tolist()]
        identities = np.unique(known, return_inverse=True)[1].astype(np.int64)
        asked = identities[gallery.owners]
        ranking = rank_identities(
            gallery.text_embeds,
            gallery.image_embeds,
            torch.from_numpy(asked),
            torch.from_numpy(identities),
        )
        left_out = self.dataset.left_out(images.num_skipped)
        remarks: Settings = {
            "num_captions": len(gallery.captions),
            "num_identities": len(set(known)),
        }
        return EvalResult(
            benchmark=self.name,
            family="matching",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=self._scores(ranking, asked),
            chance=_chance(np.bincount(identities)[asked], len(identities)),
            num_samples=len(identities),
            num_skipped=sum(left_out.values()),
            origin=Origin(seed=self.seed, data_revision=self.dataset.revision, interval=INTERVAL),
            details=self.settings() | remarks | self.dataset.remarks(left_out),
            per_unit={
                name: PerUnit.pack(values, asked) for name, values in self._values(ranking).items()
            },
        )

    def _values(self, ranking: IdentityRanking) -> dict[str, np.ndarray]:
        """Of every caption; identities are what may be drawn, so they stand for images."""
        hits = {f"text_to_image_recall_at_{k}": ranking.first_places < k for k in RECALL_AT}
        return hits | {
            "mean_average_precision": ranking.average_precision,
            "mean_inverse_negative_penalty": ranking.inverse_negative_penalty,
        }

    def _scores(self, ranking: IdentityRanking, asked: np.ndarray) -> dict[str, Score]:
        scores = {
            f"text_to_image_recall_at_{k}": cluster_bootstrap_score(
                ranking.first_places < k, asked, seed=self.seed
            )
            for k in RECALL_AT
        }
        means = {
            "mean_average_precision": ranking.average_precision,
            "mean_inverse_negative_penalty": ranking.inverse_negative_penalty,
        }
        return scores | {n: clustered_mean(v, asked, seed=self.seed) for n, v in means.items()}


def _chance(num_right: np.ndarray, gallery_size: int) -> dict[str, float]:
    """Exact levels of a random order; ``num_right`` is the number of right pictures a query."""
    kinds, counts = np.unique(num_right, return_counts=True)
    levels = {
        f"text_to_image_recall_at_{k}": chance_of_any_own(num_right, gallery_size=gallery_size, k=k)
        for k in RECALL_AT
    }
    by_precision = [chance_of_average_precision(m, gallery_size) for m in kinds.tolist()]
    by_penalty = [chance_of_negative_penalty(m, gallery_size) for m in kinds.tolist()]
    levels["mean_average_precision"] = float(np.average(by_precision, weights=counts))
    levels["mean_inverse_negative_penalty"] = float(np.average(by_penalty, weights=counts))
    return levels
