"""Shape or texture: which of two cues in conflict decides?

Geirhos et al. 2019, arXiv 1811.12231; pictures of model-vs-human (``cue-conflict/<shape>/
<shape><n>-<texture><m>.png``). A model names one of 16 categories in two ways, scored apart:

- by the mean probability over the ImageNet classes of each category, as that toolbox does, with
  prompt ensembles of all 1,000 classes;
- by prompts of the 16 categories themselves (scores ending in ``_16_prompts``).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from eval.contract import Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.data.imagenet_layouts import CLASS_NAMES, TEMPLATES
from eval.data.rows import PICTURES
from eval.embedding.cosines import cosine_slices
from eval.errors import EvaluationError
from eval.metrics.intervals import WILSON
from eval.metrics.shape_bias import (
    CATEGORIES,
    category_decisions,
    cue_conflict_categories,
    shape_bias,
)
from eval.results import EvalResult, Origin, PerImage, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry


@registry.register("shape_bias")
@dataclass(frozen=True, kw_only=True, slots=True)
class ShapeBiasTask:
    """Share of shape decisions among those for shape or texture, over pictures in conflict.

    Args:
        dataset: pictures named after their shape and their texture.
        templates: prompts with ``{c}``.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=PICTURES,
        uses=("classes",),
        title="Shape bias",
        headlines=("shape_bias",),
    )

    dataset: EvalDataset
    templates: tuple[str, ...] = TEMPLATES

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        try:
            _categories(dataset)
        except EvaluationError as error:
            return f"{dataset.title} shows no cue conflicts: {error}"
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "ShapeBiasTask":
        """See ``TaskKind``; the user's templates, else the 80 of ImageNet."""
        return cls(dataset=dataset, templates=choices.templates or TEMPLATES)

    @property
    def name(self) -> str:
        """Of the task."""
        return "shape_bias"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        # File names tell shape and texture, and are not part of the data's revision.
        return {
            "templates": list(self.templates),
            "cues": [list(cues) for cues in _categories(self.dataset).tolist()],
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return (Need(self.dataset),)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Decide by ImageNet's classes and by the categories, and count."""
        images = embedder.images(model, self.dataset)
        cues = _categories(self.dataset)[images.rows]
        fine = self._decisions(model, embedder, images.embeds, CLASS_NAMES)
        coarse = self._decisions(model, embedder, images.embeds, CATEGORIES)
        has_conflict = cues[:, 0] != cues[:, 1]
        scores: dict[str, Score] = {}
        for ending, decisions in (("", fine), ("_16_prompts", coarse)):
            found = shape_bias(decisions, cues[:, 0], cues[:, 1])
            if found.shape_bias is not None:
                scores[f"shape_bias{ending}"] = found.shape_bias
            scores[f"shape_share{ending}"] = found.shape_share
            scores[f"texture_share{ending}"] = found.texture_share
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="robustness",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={
                name: 0.5 if name.startswith("shape_bias") else 1 / len(CATEGORIES)
                for name in scores
            },
            num_samples=int(has_conflict.sum()),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=0, data_revision=self.dataset.revision, interval=f"{WILSON}, over decisions"
            ),
            details={
                "templates": list(self.templates),
                "pictures_without_conflict": int((~has_conflict).sum()),
            }
            | self.dataset.remarks(left_out),
            per_image={
                "shape_share": PerImage.pack(
                    (fine == cues[:, 0])[has_conflict],
                    images.rows[has_conflict],
                    len(self.dataset),
                )
            },
        )

    def _decisions(
        self, model: EmbeddingModel, embedder: Embedder, embeds: Tensor, names: tuple[str, ...]
    ) -> Int64[np.ndarray, " images"]:
        prototypes = embedder.class_embeds(model, names, self.templates).to(model.device)
        decisions: list[Tensor] = []
        for _, cosines in cosine_slices(embeds, prototypes):
            logits = model.logit_scale * cosines.double() + model.logit_bias
            if len(names) == len(CATEGORIES):
                decisions.append(logits.argmax(dim=1).cpu())
            else:
                decisions.append(category_decisions(logits.softmax(dim=1)).cpu())
        return torch.cat(decisions).numpy()


def _categories(dataset: EvalDataset) -> Int64[np.ndarray, "images 2"]:
    """Shape and texture of each picture, by its name.

    Raises:
        EvaluationError: a name has another form.
    """
    keys = (dataset.key(i) for i in range(len(dataset)))
    return np.array([cue_conflict_categories(key) for key in keys], dtype=np.int64)
