"""Zero-shot classification with prompt ensembles.

Radford et al. 2021, arXiv 2103.00020, section 3.1.4: a class is the mean of its prompts.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from eval.class_answers import ClassAnswers, first_classes
from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings, Need
from eval.data.dataset import EvalDataset
from eval.metrics.intervals import RECALL_INTERVAL, WILSON, per_class_score, wilson_score
from eval.metrics.ranking import places_of_targets
from eval.report.examples import Side, draw_examples
from eval.report.thumbnails import thumbnail
from eval.results import EvalResult, Example, Origin, Panel, PerImage, PerUnit, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.zero_shot.templates import no_classes, templates_for

_TOP_K = (1, 5)


@registry.register("zero_shot")
@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroShotClassification:
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

    dataset: EvalDataset
    templates: tuple[str, ...]
    num_examples: int = 0
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        return no_classes(dataset)

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "ZeroShotClassification":
        """See ``TaskKind``; the user's templates, else the data set's own."""
        return cls(
            dataset=dataset,
            templates=templates_for(dataset, choices),
            num_examples=choices.num_examples,
            seed=choices.seed,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "zero_shot"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Line i names label i."""
        assert self.dataset.layout.classes is not None
        return self.dataset.layout.classes.names

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "templates": list(self.templates),
            "num_examples": self.num_examples,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return (Need(self.dataset),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed the images and the classes, rank the classes for each image."""
        images = embedder.images(model, self.dataset)
        embeds = images.embeds.to(model.device)
        prototypes = embedder.class_embeds(model, self.class_names, self.templates)
        prototypes = prototypes.to(model.device)
        assert self.dataset.labels is not None
        labels = self.dataset.labels[images.rows]
        places = self._places(embeds, prototypes, labels)
        answers = ClassAnswers(
            self.class_names, labels, first_classes(embeds, prototypes), images.rows
        )
        num_classes = len(self.class_names)
        ks = [k for k in _TOP_K if k <= num_classes]
        scores: dict[str, Score] = {f"top{k}": wilson_score(places < k) for k in ks}
        scores["mean_per_class_recall"] = per_class_score(places < 1, labels, seed=self.seed)
        chance = {f"top{k}": k / num_classes for k in ks}
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="zero_shot",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance=chance | {"mean_per_class_recall": 1 / num_classes},
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
            per_image={
                f"top{k}": PerImage.pack(places < k, images.rows, len(self.dataset)) for k in ks
            },
            per_unit={
                "mean_per_class_recall": PerUnit.of_class_recall(places < 1, labels, images.rows)
            },
        )

    def _places(
        self, embeds: Tensor, prototypes: Tensor, labels: Int64[np.ndarray, " images"]
    ) -> Int64[np.ndarray, " images"]:
        targets = torch.from_numpy(labels).to(prototypes.device)
        return places_of_targets(embeds, prototypes, targets).cpu().numpy()

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
        assert self.dataset.labels is not None
        labels = self.dataset.labels[images.rows].tolist()

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
