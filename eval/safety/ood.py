"""Out-of-distribution detection: does the model notice pictures of none of its classes?

Each method gives an image one number, higher where it looks like one of the classes:

- mcm: maximum softmax over raw cosines with one prompt (Ming et al. 2022, arXiv 2211.13445).
- max_logit: the largest cosine to a prompt ensemble.
- energy: logsumexp of the model's logits, divided by its logit scale.
- knn: minus the distance to the k-th nearest picture of a bank (Sun et al. 2022,
  arXiv 2204.06507): the set given with --bank, without pictures that are in the data set too;
  else a seeded half of the data set itself, whose images are then in no score of this method.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, UInt64
from torch import Tensor

from eval.contract import Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.embedding.cosines import cosine_slices
from eval.metrics.detection import STRATIFIED, detection_scores
from eval.metrics.ood_detection import (
    energy_score,
    max_logit_score,
    max_softmax_score,
    nearest_neighbour_score,
)
from eval.metrics.temperature import seeded_half
from eval.results import EvalResult, Origin, Score, Settings
from eval.task_choices import TaskChoices, task_options
from eval.tasks import TaskFacts, registry
from eval.zero_shot.templates import no_classes, templates_for

_ScoreFunction = Callable[[Float[Tensor, "images embed_dim"]], Float64[np.ndarray, " images"]]


@task_options.register("ood")
@dataclass(frozen=True, kw_only=True, slots=True)
class OodOptions:
    """Choices of out-of-distribution detection.

    Attributes:
        template: the one prompt of MCM.
        neighbour: k of the kNN score.
    """

    template: str = "a photo of a {c}"
    neighbour: int = 10


@registry.register("ood")
@dataclass(frozen=True, kw_only=True, slots=True)
class OodDetection:
    """AUROC, AUPR and FPR95 of four detection scores against each set of other pictures.

    Args:
        dataset: pictures of the classes, with class names.
        others: sets of pictures of none of the classes.
        bank: pictures for the kNN score; None takes half of the data set.
        templates: prompts of max_logit and energy.
        mcm_template: the one prompt of mcm.
        neighbour: k of the kNN score.
        seed: of the split and the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes", "ood", "bank"),
        options=OodOptions,
        title="Out-of-distribution detection",
        score_words={"id": "(ID positive)", "ood": "(OOD positive)", "knn": "kNN", "mcm": "MCM"},
    )

    dataset: EvalDataset
    others: tuple[EvalDataset, ...]
    bank: EvalDataset | None
    templates: tuple[str, ...]
    mcm_template: str
    neighbour: int
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_classes(dataset)) is not None:
            return lack
        if not choices.companions.ood:
            return f"{dataset.title} has nothing to be told from; give other pictures with --ood"
        own = dataset.images.image_ids
        for other in choices.companions.ood:
            if shared := int(np.isin(other.images.image_ids, own).sum()):
                return (
                    f"{shared:,} pictures of {other.title} are in {dataset.title} as well; "
                    "give pictures of none of its classes with --ood"
                )
        options = choices.of(OodOptions)
        if "{c}" not in options.template:
            return f"ood.template is '{options.template}'; write {{c}} where the class name goes"
        bank, k = choices.companions.bank, options.neighbour
        if bank is None:
            size = len(np.unique(dataset.images.image_ids)) // 2
        else:
            size = int(_is_new(bank.images.image_ids, dataset).sum())
        if not 1 <= k <= size:
            return (
                f"{dataset.title}: ood.neighbour is {k} and there are {size} pictures to look "
                "among; set another with --set ood.neighbour=K, or give --bank PATH"
            )
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "OodDetection":
        """See ``TaskKind``."""
        return cls(
            dataset=dataset,
            others=choices.companions.ood,
            bank=choices.companions.bank,
            templates=templates_for(dataset, choices),
            mcm_template=choices.of(OodOptions).template,
            neighbour=choices.of(OodOptions).neighbour,
            seed=choices.seed,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "ood"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "templates": list(self.templates),
            "mcm_template": self.mcm_template,
            "neighbour": self.neighbour,
            "others": {other.name: other.revision for other in self.others},
            "bank_revision": self.bank.revision if self.bank else None,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        sets = (self.dataset, *self.others, *([self.bank] if self.bank else []))
        return tuple(Need(one) for one in sets)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Score the pictures of the classes and the others by every method."""
        inside = embedder.images(model, self.dataset)
        ids = self.dataset.images.image_ids[inside.rows].tolist()
        in_bank = np.zeros(len(ids), dtype=bool)
        if self.bank is None:
            in_bank = seeded_half([str(image_id) for image_id in ids], seed=self.seed)
        bank = self._bank(model, embedder, inside.embeds, in_bank)
        methods = self._methods(model, embedder, bank)
        scores: dict[str, Score] = {}
        num_skipped = 0
        inside_values = {name: method(inside.embeds) for name, method in methods.items()}
        for other in self.others:
            outside = embedder.images(model, other)
            num_skipped += outside.num_skipped
            for name, method in methods.items():
                own = inside_values[name][~in_bank] if name == "knn" else inside_values[name]
                found = detection_scores(own, method(outside.embeds), seed=self.seed)
                for figure, score in found.items():
                    scores[f"{name}_{figure}_{other.name}"] = score
        left_out = self.dataset.left_out(inside.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="safety",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={name: 0.5 for name in scores if "_auroc_" in name},
            num_samples=len(inside.rows),
            num_skipped=sum(left_out.values()) + num_skipped,
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=STRATIFIED,
            ),
            details=self.settings()
            | {
                "fpr95_id": "ID is positive: OOD images that pass where 95% of ID do (MCM)",
                "fpr95_ood": "OOD is positive: ID images rejected where 95% of OOD are (OpenOOD)",
                "knn_bank": self.bank.title if self.bank else "a seeded half of the data set",
                "num_bank_images": len(bank),
                "others_left_out": num_skipped,
            }
            | self.dataset.remarks(left_out),
        )

    def _bank(
        self,
        model: EmbeddingModel,
        embedder: Embedder,
        inside_embeds: Float[Tensor, "images embed_dim"],
        in_bank: Bool[np.ndarray, " images"],
    ) -> Float[Tensor, "bank embed_dim"]:
        """Without pictures of the data set itself, each of which would be its own neighbour."""
        if self.bank is None:
            chosen = inside_embeds[torch.from_numpy(in_bank)]
        else:
            found = embedder.images(model, self.bank)
            is_new = _is_new(self.bank.images.image_ids[found.rows], self.dataset)
            chosen = found.embeds[torch.from_numpy(is_new)]
        return chosen.to(model.device)

    def _methods(
        self,
        model: EmbeddingModel,
        embedder: Embedder,
        bank: Float[Tensor, "bank embed_dim"],
    ) -> dict[str, _ScoreFunction]:
        assert self.dataset.layout.classes is not None
        names = self.dataset.layout.classes.names
        ensemble = embedder.class_embeds(model, names, self.templates).to(model.device)
        single = embedder.class_embeds(model, names, (self.mcm_template,)).to(model.device)
        temperature = 1 / model.logit_scale

        def from_cosines(classes: Tensor, score: Callable[[Tensor], Tensor]) -> _ScoreFunction:
            return lambda embeds: np.concatenate(
                [score(part.cosines).cpu().numpy() for part in cosine_slices(embeds, classes)]
            )

        def knn(embeds: Tensor) -> np.ndarray:
            scored = nearest_neighbour_score(embeds.to(bank.device), bank, k=self.neighbour)
            return scored.cpu().numpy()

        return {
            "mcm": from_cosines(single, max_softmax_score),
            "max_logit": from_cosines(ensemble, max_logit_score),
            "energy": from_cosines(ensemble, lambda u: energy_score(u, temperature=temperature)),
            "knn": knn,
        }


def _is_new(
    image_ids: UInt64[np.ndarray, " bank"], dataset: EvalDataset
) -> Bool[np.ndarray, " bank"]:
    """Which pictures are none of the data set's."""
    return ~np.isin(image_ids, dataset.images.image_ids)
