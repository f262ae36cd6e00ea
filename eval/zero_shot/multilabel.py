"""Images that show several classes: how well does each prompt ensemble rank them?

The task of CLIP_benchmark's multilabel folders (wds_voc2007_multilabel): for each class the images
are ranked by their cosine to its prompt ensemble; see ``eval.metrics.average_precision``.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from eval.contract import Embedder, EmbeddingModel
from eval.data.dataset import EvalDataset
from eval.data.rows import ATTRIBUTED
from eval.embedding.cosines import cosine_slices
from eval.metrics.average_precision import (
    METHOD,
    average_precisions,
    chance_level,
    mean_average_precision,
)
from eval.results import EvalResult, Origin, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.zero_shot.prompted import PromptedTask


@registry.register("multilabel")
@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroShotMultilabel(PromptedTask):
    """Mean average precision over the classes.

    Args:
        dataset: with class names and a 0 or 1 for each of them in every npy member.
        templates: prompts with ``{c}``.
        seed: of the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=ATTRIBUTED,
        uses=("classes",),
        only_for=("multilabel",),
        title="Multi-label classification",
        score_titles={"mean_average_precision": "mAP"},
        headlines=("mean_average_precision",),
    )

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if dataset.task == "multilabel" and dataset.attributes is not None:
            return None
        needed = "its folder must say 'multilabel' in dataset_type.txt and hold npy members of 0 "
        needed += "and 1, one a class"
        fix = needed if dataset.layout.pictures is None else ATTRIBUTED.beside
        return f"{dataset.title} is not for multilabel classification; {fix}"

    @property
    def name(self) -> str:
        """Of the task."""
        return "multilabel"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {"templates": list(self.templates), "seed": self.seed}

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Cosines of all images to all classes, ranked class by class."""
        images = embedder.images(model, self.dataset)
        prototypes = self.class_embeds(model, embedder)
        slices = cosine_slices(images.embeds, prototypes.to(model.device))
        cosines = torch.cat([part.cosines.cpu() for part in slices])
        assert self.dataset.attributes is not None
        is_shown = self.dataset.attributes[images.rows].astype(bool)
        score = mean_average_precision(cosines.numpy(), is_shown, seed=self.seed)
        by_class = average_precisions(cosines.numpy(), is_shown)
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="zero_shot",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores={"mean_average_precision": score},
            chance={"mean_average_precision": chance_level(is_shown)},
            num_samples=len(images.rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"95% {METHOD}",
            ),
            details=self.settings()
            | {
                "num_classes": len(self.class_names),
                "classes_without_images": int(np.isnan(by_class).sum()),
                "average_precision": {
                    name: float(value)
                    for name, value in zip(self.class_names, by_class, strict=True)
                    if not np.isnan(value)
                },
            }
            | self.dataset.remarks(left_out),
        )
