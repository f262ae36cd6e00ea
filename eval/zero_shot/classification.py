"""Zero-shot classification with prompt ensembles.

Radford et al. 2021, arXiv 2103.00020, section 3.1.4: a class is the mean of its prompts.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from eval.class_answers import ClassAnswers
from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings
from eval.data.dataset import EvalDataset
from eval.metrics.intervals import RECALL_INTERVAL, WILSON
from eval.metrics.ranking import answers_of, nearest_entry, to_targets
from eval.report.examples import Side, draw_examples
from eval.report.thumbnails import thumbnail
from eval.results import EvalResult, Example, Origin, Panel, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.zero_shot.class_scores import class_scores
from eval.zero_shot.prompted import PromptedTask


@registry.register("zero_shot")
@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroShotClassification(PromptedTask):
    """Each image takes the class with the nearest prompt ensemble.

    Scores: top1; top5 where there are at least 5 classes; mean_per_class_recall. Equal classes
    (two of the 1,000 ImageNet names occur twice) tie, and the lower index wins.

    Args:
        dataset: with labels and class names.
        templates: prompts with ``{c}``.
        num_examples: examples kept for the report.
        seed: of the bootstrap and of the choice of examples.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes",),
        title="Zero-shot classification",
        score_titles={"mean_per_class_recall": "mean per-class recall"},
        headlines=("top1",),
    )

    num_examples: int = 0

    @classmethod
    def chosen(cls, dataset: EvalDataset, choices: TaskChoices) -> dict[str, Any]:
        """See ``PromptedTask``."""
        return {"num_examples": choices.num_examples}

    @property
    def name(self) -> str:
        """Of the task."""
        return "zero_shot"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "templates": list(self.templates),
            "num_examples": self.num_examples,
            "seed": self.seed,
        }

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed the images and the classes, rank the classes for each image."""
        images = embedder.images(model, self.dataset)
        embeds = images.embeds.to(model.device)
        prototypes = self.class_embeds(model, embedder).to(model.device)
        labels = self.labels_of(images)
        targets = torch.from_numpy(labels).to(prototypes.device)
        ranked = answers_of(embeds, prototypes, to_targets(targets), nearest_entry)
        places, given = (answer.cpu().numpy() for answer in ranked)
        answers = ClassAnswers(self.class_names, labels, given, images.rows)
        num_classes = len(self.class_names)
        measured = class_scores(
            places,
            labels,
            images.rows,
            num_ranked=num_classes,
            num_classes=num_classes,
            num_images=len(self.dataset),
            seed=self.seed,
        )
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="zero_shot",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=measured.scores,
            chance=measured.chance,
            num_samples=len(images.rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{WILSON}; mean per-class recall: {RECALL_INTERVAL}",
            ),
            details=self.settings()
            | self._remarks(labels)
            | self.dataset.remarks(left_out)
            | answers.to_details(),
            examples=self._examples(embeds, prototypes, images, places),
            per_image=measured.per_image,
            per_unit=measured.per_unit,
        )

    def _remarks(self, labels: Int64[np.ndarray, " images"]) -> Settings:
        names = self.class_names
        present = np.bincount(labels, minlength=len(names)) > 0
        return {
            "num_classes": len(names),
            "classes_without_samples": int((~present).sum()),
            "repeated_class_names": sorted({n for n in names if names.count(n) > 1}),
        }

    def _examples(
        self,
        embeds: Tensor,
        prototypes: Tensor,
        images: ImageEmbeddings,
        places: Int64[np.ndarray, " images"],
    ) -> tuple[Example, ...]:
        labels = self.labels_of(images).tolist()

        def picture(position: int) -> Panel:
            encoded = self.dataset.images.read(int(images.rows[position]))
            return Panel("", image=thumbnail(encoded))

        return draw_examples(
            "image_to_class",
            Side(embeds, picture),
            Side(prototypes, lambda label: Panel(self.class_names[label])),
            right_answers=lambda position: [labels[position]],
            places=places,
            count=self.num_examples,
            seed=self.seed,
        )
