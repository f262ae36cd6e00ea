"""Zero-shot classification with prompt ensembles.

Radford et al. 2021, arXiv 2103.00020, section 3.1.4: a class is the mean of its prompts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings
from eval.dataset import EvalDataset
from eval.errors import EvaluationError
from eval.examples import Side, draw_examples
from eval.metrics.intervals import WILSON, per_class_score, wilson_score
from eval.metrics.ranking import places_of_targets
from eval.results import EvalResult, Example, Origin, Panel, Score, Settings
from eval.thumbnails import thumbnail
from eval.zero_shot import registry
from eval.zero_shot.request import TaskRequest
from eval.zero_shot.templates import TEMPLATE_SETS

#: Prompts embedded in one call; with 80 templates this is about a hundred classes.
PROMPTS_AT_A_TIME = 8192

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

    dataset: EvalDataset
    templates: tuple[str, ...]
    num_examples: int = 0
    seed: int = 0

    @classmethod
    def build(cls, dataset: EvalDataset, request: TaskRequest) -> "ZeroShotClassification":
        """The task with what the user chose, else the data set's own templates.

        Raises:
            EvaluationError: the data set has no labels or class names.
        """
        classes = dataset.layout.classes
        if dataset.labels is None or classes is None:
            raise EvaluationError(
                f"{dataset.title} has no class labels (cls members) or no class names; "
                "use --task retrieval"
            )
        templates = request.templates or classes.templates or TEMPLATE_SETS["simple"]
        return cls(
            dataset=dataset,
            templates=templates,
            num_examples=request.num_examples,
            seed=request.seed,
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

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed the images and the classes, rank the classes for each image."""
        images = embedder.images(model, self.dataset)
        embeds = images.embeds.to(model.device)
        prototypes = class_embeds(model, embedder, self.class_names, self.templates)
        prototypes = prototypes.to(model.device)
        assert self.dataset.labels is not None
        labels = self.dataset.labels[images.rows]
        places = self._places(embeds, prototypes, labels)
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
                interval=f"{WILSON}; mean per-class recall: 95% percentile bootstrap over images",
            ),
            details=self.settings() | self._remarks(labels) | self.dataset.remarks(left_out),
            examples=self._examples(embeds, prototypes, images, places),
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


def class_embeds(
    model: EmbeddingModel,
    embedder: Embedder,
    class_names: Sequence[str],
    templates: Sequence[str],
) -> Float[Tensor, "classes embed_dim"]:
    """One unit vector a class: embed, normalise each prompt, average, normalise.

    Prompts of many classes go into each call; equal names are embedded once, so that their
    vectors are the same to the last bit.

    Args:
        class_names: at least one.
        templates: at least one, with ``{c}``.
    """
    distinct = {name: i for i, name in enumerate(dict.fromkeys(class_names))}
    names = list(distinct)
    step = max(1, PROMPTS_AT_A_TIME // len(templates))
    prototypes: list[Tensor] = []
    for start in range(0, len(names), step):
        group = names[start : start + step]
        prompts = [template.replace("{c}", name) for name in group for template in templates]
        by_prompt = F.normalize(embedder.texts(model, prompts), dim=-1)
        by_class = by_prompt.split(len(templates))
        prototypes += [F.normalize(prompt_embeds.mean(dim=0), dim=-1) for prompt_embeds in by_class]
    return torch.stack(prototypes)[[distinct[name] for name in class_names]]
