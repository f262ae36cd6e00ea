"""Zero-shot classification judged by its worst group of images, or by macro F1.

The WILDS and fairness sets of DataComp (eval_utils/wilds_eval.py, fairness_eval.py): their folders
say in an npy member which groups each image belongs to. DataComp reads the group from the first
number, and takes all groups that have images: its folders do not name them, so the region "Other"
of FMoW, which WILDS leaves out, counts.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64

from data_pipelines.schema import JsonValue
from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings
from eval.data.dataset import EvalDataset
from eval.data.dataset_names import canonical_name
from eval.metrics.effective_trials import EFFECTIVE
from eval.metrics.extremes import MINIMUM
from eval.metrics.groups import group_accuracies, macro_f1, worst_group_accuracy
from eval.metrics.ranking import best_entries
from eval.metrics.resampling import BOOTSTRAP_ERROR
from eval.results import EvalResult, Origin, PerImage, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.zero_shot.prompted import PromptedTask
from eval.zero_shot.templates import no_classes

_IMAGES_AT_A_TIME = 4096


class GroupedSet(NamedTuple):
    """What a published set is judged by.

    Attributes:
        group: what the first number of its npy members stands for.
        top_k: whether the right class must be among the first 1 or 5.
    """

    group: str
    top_k: int = 1


#: By canonical name (``eval.data.dataset_names``).
GROUPED_SETS = {
    "fmow": GroupedSet("region"),
    "geode": GroupedSet("region"),
    "dollar_street": GroupedSet("income", top_k=5),
    "iwildcam": GroupedSet("location"),
}


@registry.register("worst_group")
@dataclass(frozen=True, kw_only=True, slots=True)
class WorstGroup(PromptedTask):
    """Accuracy of the worst group, and macro F1.

    Args:
        dataset: one of ``GROUPED_SETS``, with npy members.
        templates: prompts with ``{c}``.
        seed: of the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes",),
    )

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_classes(dataset)) is not None:
            return lack
        if canonical_name(dataset.name) not in GROUPED_SETS:
            return f"{dataset.title} is not one of the grouped sets: {', '.join(GROUPED_SETS)}"
        if dataset.attributes is None:
            return f"{dataset.title} has no npy members with the groups of its images"
        return None

    @property
    def name(self) -> str:
        """Of the task."""
        return "worst_group"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {"templates": list(self.templates), "seed": self.seed}

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Rank the classes and count by group."""
        images = embedder.images(model, self.dataset)
        assert self.dataset.attributes is not None
        known = GROUPED_SETS[canonical_name(self.dataset.name)]
        labels = self.labels_of(images)
        groups = self.dataset.attributes[images.rows, 0]
        best = self._best(model, embedder, images, known.top_k)
        hits = (best == labels[:, None]).any(axis=1)
        name = f"worst_{known.group}_top{known.top_k}"
        scores: dict[str, Score] = {
            name: worst_group_accuracy(hits, groups, seed=self.seed),
            "macro_f1": macro_f1(labels, best[:, 0], seed=self.seed),
        }
        accuracy: dict[str, JsonValue] = {
            str(group): score.value for group, score in group_accuracies(hits, groups).items()
        }
        remarks: Settings = {"group": known.group, "accuracy_by_group": accuracy}
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="zero_shot",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={},
            num_samples=len(images.rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"95%: {MINIMUM}; macro F1: {EFFECTIVE}, {BOOTSTRAP_ERROR}",
            ),
            details=self.settings() | remarks | self.dataset.remarks(left_out),
            per_image={f"top{known.top_k}": PerImage.pack(hits, images.rows, len(self.dataset))},
        )

    def _best(
        self, model: EmbeddingModel, embedder: Embedder, images: ImageEmbeddings, count: int
    ) -> Int64[np.ndarray, "images count"]:
        """The nearest classes of each image, nearest first."""
        prototypes = self.class_embeds(model, embedder).to(model.device)
        parts = [
            best_entries(part.to(model.device), prototypes, count=count).cpu()
            for part in images.embeds.split(_IMAGES_AT_A_TIME)
        ]
        return torch.cat(parts).numpy()
