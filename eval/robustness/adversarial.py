"""Adversarial robustness of zero-shot classification: the image tower under attack.

The classifier is fixed (prompt ensembles), the pictures move by at most eps in every pixel value.
Pictures are resized and cropped first and normalised inside the model, so that eps means what it
says. Source of the attacks and of the suites: ``eval.robustness.attacks``. At 8/255 an undefended
CLIP has nothing left to measure (Schlarmann et al. 2024, arXiv 2402.12336): small eps say more.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar, cast, get_args

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from eval.capabilities import EMBEDS, GIVES_GRADIENTS, lack_of
from eval.contract import DifferentiableModel, Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.data.subset import chosen_images
from eval.embedding.embedder import refuse_all_broken
from eval.errors import EvaluationError
from eval.metrics.intervals import WILSON, wilson_score
from eval.process_group import gather_rows, my_rows, ranks
from eval.progress import Progress
from eval.results import EvalResult, Origin, PerImage, Settings
from eval.robustness.attacks import AttackSuite, robust_predictions
from eval.task_choices import TaskChoices, task_options
from eval.tasks import TaskFacts, registry
from eval.zero_shot.templates import no_classes, templates_for

_IMAGES_AT_A_TIME = 128
_TARGETED_CLASSES = 4


@task_options.register("attack")
@dataclass(frozen=True, kw_only=True, slots=True)
class AttackOptions:
    """Choices of the adversarial task.

    Attributes:
        kind: "apgd-ce", "apgd" (cross-entropy, then targeted) or "autoattack".
        eps: largest change of a pixel, in 255ths.
        steps: of each APGD run.
        max_images: use a seeded choice of so many images; 0 uses all.
    """

    kind: str = "apgd"
    eps: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    steps: int = 100
    max_images: int = 1000


@registry.register("adversarial")
@dataclass(frozen=True, kw_only=True, slots=True)
class Adversarial:
    """Accuracy that is left under APGD or AutoAttack, for several sizes of change.

    Args:
        dataset: the chosen images, with labels and class names.
        templates: prompts with ``{c}``.
        options: which attack, how strong.
        seed: of the choice of images and of the attacks' starts.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        demands=(EMBEDS, GIVES_GRADIENTS),
        uses=("classes",),
        options=AttackOptions,
        title="Adversarial attacks",
        score_titles={r"robust_top1_eps_([\d.e-]+)_255": r"top-1 under attack, eps \1/255"},
    )

    dataset: EvalDataset
    templates: tuple[str, ...]
    options: AttackOptions
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_classes(dataset)) is not None:
            return lack
        if find_spec("pyautoattack") is None:
            return "attacks need the package pyautoattack: pip install 'vlsuite[adversarial]'"
        options = choices.of(AttackOptions)
        if options.kind not in get_args(AttackSuite):
            return (
                f"attack.kind is '{options.kind}'; choose {', '.join(get_args(AttackSuite))} "
                "with --set attack.kind=NAME"
            )
        assert dataset.layout.classes is not None
        num_classes = len(dataset.layout.classes.names)
        if num_classes < 2 or (num_classes < _TARGETED_CLASSES and options.kind != "apgd-ce"):
            return (
                f"{dataset.title} has {num_classes} classes and targeted attacks need "
                f"{_TARGETED_CLASSES}; --set attack.kind=apgd-ce needs two"
            )
        if not options.eps or not all(0 < eps < 255 for eps in options.eps):
            return "attack.eps needs numbers between 0 and 255; e.g. --set attack.eps=1,2,4"
        if options.steps < 1 or options.max_images < 0:
            return "attack.steps must be at least 1 and attack.max_images at least 0"
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "Adversarial":
        """See ``TaskKind``."""
        most = choices.of(AttackOptions).max_images
        return cls(
            dataset=chosen_images(dataset, most, seed=choices.seed),
            templates=templates_for(dataset, choices),
            options=choices.of(AttackOptions),
            seed=choices.seed,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "adversarial"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "templates": list(self.templates),
            "attack": self.options.kind,
            "eps_255": list(self.options.eps),
            "steps": self.options.steps,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """Nothing to be embedded beforehand: attacks change the pictures as they go."""
        return ()

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Attack every chosen image at every eps; processes share the images.

        Raises:
            EvaluationError: the model gives no gradients, or the attack package is missing.
        """
        if not isinstance(model, DifferentiableModel):
            raise EvaluationError(f"{lack_of(model, self.facts.demands)}; leave adversarial out")
        assert self.dataset.labels is not None
        logits = self._logits(model, embedder)
        outcomes = self._outcomes(model, embedder, logits)
        rows = np.flatnonzero(outcomes[:, 0] >= 0).astype(np.int64)
        refuse_all_broken(outcomes[:, 0] >= 0, self.dataset)
        hits = outcomes[rows] > 0
        names = ["top1", *(f"robust_top1_eps_{eps:g}_255" for eps in self.options.eps)]
        left_out = self.dataset.left_out(len(self.dataset) - len(rows))
        return EvalResult(
            benchmark=self.name,
            family="robustness",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores={name: wilson_score(hits[:, i]) for i, name in enumerate(names)},
            chance={},
            num_samples=len(rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(seed=self.seed, data_revision=self.dataset.revision, interval=WILSON),
            details=self.settings()
            | {"threat": "L-infinity, pixels in [0, 1] after resize and crop"}
            | self.dataset.remarks(left_out),
            per_image={
                name: PerImage.pack(hits[:, i], rows, len(self.dataset))
                for i, name in enumerate(names)
            },
        )

    def _logits(self, model: DifferentiableModel, embedder: Embedder) -> Callable[[Tensor], Tensor]:
        assert self.dataset.layout.classes is not None
        whole = cast(EmbeddingModel, model)
        names = self.dataset.layout.classes.names
        prototypes = embedder.class_embeds(whole, names, self.templates).to(whole.device)
        # Equal classes are multiplied once, so that they tie: see ``eval.embedding.cosines``.
        distinct, number = torch.unique(prototypes, dim=0, return_inverse=True)
        return lambda pixels: (whole.logit_scale * model.embed_pixels(pixels) @ distinct.T)[
            :, number
        ]

    def _outcomes(
        self,
        model: EmbeddingModel,
        embedder: Embedder,
        logits: Callable[[Tensor], Tensor],
    ) -> np.ndarray:
        """Of each image: right as it is, then right at each eps; -1 where it is broken.

        Images are attacked in fixed groups, so that the attacks' random starts do not depend on
        batch size or processes; a finished group is remembered by the embedder.
        """
        num_images, num_groups = len(self.dataset), -(-len(self.dataset) // _IMAGES_AT_A_TIME)
        mine = my_rows(num_groups)
        progress = None
        if not ranks().rank:
            progress = Progress("attacking", total=len(np.unique(mine)), unit="groups of images")
        groups: dict[int, np.ndarray] = {}
        for group in np.unique(mine).tolist():
            first = group * _IMAGES_AT_A_TIME
            rows = np.arange(first, min(first + _IMAGES_AT_A_TIME, num_images), dtype=np.int64)
            groups[group] = embedder.remembered(
                model,
                self._key(group),
                lambda rows=rows: self._attack_rows(model, embedder, logits, rows),
            )
            if progress:
                progress.add(1)
        if progress:
            progress.close()
        shares = torch.from_numpy(np.stack([groups[group] for group in mine.tolist()]))
        joined = gather_rows(shares, num_groups, device=model.device).numpy()
        return joined.reshape(-1, joined.shape[-1])[:num_images]

    def _key(self, group: int) -> str:
        """What the outcome of a group depends on besides the model."""
        settings = self.settings() | {"revision": self.dataset.revision, "group": group}
        return f"adversarial {json.dumps(settings, sort_keys=True)}"

    def _attack_rows(
        self,
        model: EmbeddingModel,
        embedder: Embedder,
        logits: Callable[[Tensor], Tensor],
        rows: Int64[np.ndarray, " rows"],
    ) -> np.ndarray:
        """[images at a time, 1 + eps], filled up with -1."""
        assert self.dataset.labels is not None
        outcome = np.full((_IMAGES_AT_A_TIME, 1 + len(self.options.eps)), -1, dtype=np.int64)
        batches = list(embedder.pictures(model, self.dataset, rows))
        if batches:
            found = np.concatenate([batch.rows for batch in batches])
            images = torch.cat([batch.images for batch in batches]).to(model.device).float() / 255
            labels = torch.from_numpy(self.dataset.labels[found]).to(model.device)
            outcome[found - rows[0]] = self._attack(logits, images, labels)
        return outcome

    def _attack(
        self, logits: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor
    ) -> np.ndarray:
        """[batch, 1 + eps]; what falls at one eps is taken as fallen at every larger one."""
        columns = []
        standing: Tensor | None = None
        order = np.argsort(self.options.eps)
        robust = np.zeros((len(images), len(order)), dtype=np.int64)
        for place in order.tolist():
            targets = labels if standing is None else labels[standing]
            pictures = images if standing is None else images[standing]
            found = None
            if len(pictures):
                found = robust_predictions(
                    logits,
                    pictures,
                    targets,
                    eps=self.options.eps[place] / 255,
                    attack=cast(AttackSuite, self.options.kind),
                    steps=self.options.steps,
                    seed=self.seed,
                )
            if standing is None:
                assert found is not None
                columns.append(found.is_correct.long().cpu().numpy())
                standing = torch.arange(len(images), device=images.device)
            if found is not None:
                standing = standing[found.is_robust]
            robust[standing.cpu().numpy(), place] = 1
        return np.concatenate([columns[0][:, None], robust], axis=1)
