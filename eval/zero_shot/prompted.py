"""What tasks share whose classes are prompt ensembles."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings, Need
from eval.data.dataset import EvalDataset
from eval.data.views import View
from eval.embedding.nearest_class import top1_hits
from eval.task_choices import TaskChoices
from eval.zero_shot.templates import no_classes, templates_for

OwnTask = TypeVar("OwnTask", bound="PromptedTask")


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptedTask:
    """A task that gives pictures to classes by the nearest prompt ensemble.

    Args:
        dataset: with class names.
        templates: prompts with ``{c}``.
        seed: of the intervals, and of what is drawn.
    """

    dataset: EvalDataset
    templates: tuple[str, ...]
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        return no_classes(dataset)

    @classmethod
    def build(cls: type[OwnTask], dataset: EvalDataset, choices: TaskChoices) -> OwnTask:
        """See ``TaskKind``; the user's templates, else the data set's own."""
        templates = templates_for(dataset, choices)
        told: dict[str, Any] = {"dataset": dataset, "templates": templates, "seed": choices.seed}
        return cls(**(told | cls.chosen(dataset, choices)))

    @classmethod
    def chosen(cls, dataset: EvalDataset, choices: TaskChoices) -> dict[str, Any]:
        """The fields of the task's own, and those that it does not take as they are."""
        return {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """Line i names label i."""
        assert self.dataset.layout.classes is not None
        return self.dataset.layout.classes.names

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return (Need(self.dataset),)

    def class_embeds(
        self, model: EmbeddingModel, embedder: Embedder
    ) -> Float[Tensor, "classes embed_dim"]:
        """The prompt ensembles, on the CPU."""
        return embedder.class_embeds(model, self.class_names, self.templates)

    def labels_of(self, images: ImageEmbeddings) -> Int64[np.ndarray, " images"]:
        """The class of each picture."""
        assert self.dataset.labels is not None
        return self.dataset.labels[images.rows]

    def top1_hits(
        self, model: EmbeddingModel, embedder: Embedder, images: ImageEmbeddings
    ) -> Bool[np.ndarray, " images"]:
        """Whether each picture is nearest to its own class."""
        prototypes = self.class_embeds(model, embedder)
        return top1_hits(images.embeds, prototypes, self.labels_of(images), device=model.device)

    def viewed_hits(
        self, model: EmbeddingModel, embedder: Embedder, view: View
    ) -> tuple[Int64[np.ndarray, " images"], Bool[np.ndarray, " images"]]:
        """Rows of the pictures that the view could be made of, and whether each is right."""
        images = embedder.images(model, self.dataset, view)
        return images.rows, self.top1_hits(model, embedder, images)
