"""Few-shot linear probe: the same classifier learned from 1 to 16 pictures of a class.

Radford et al. 2021, arXiv 2103.00020, figure 6; drawn and swept as in CoOp (Zhou et al. 2022, arXiv
2109.01134, ``lpclip``): the penalty is chosen on at most four other pictures of a class, which are
not learned from afterwards, and several draws are averaged.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from eval.contract import Embedder, EmbeddingModel
from eval.metrics.effective_trials import EFFECTIVE, effective_limits
from eval.metrics.intervals import scored
from eval.probes.embedded import Embedded, as_all_classes, embedded
from eval.probes.logistic import LogisticProblem, places
from eval.probes.preconditioned import Stopping
from eval.probes.probe import SWEEP_TOLERANCE, FitsProgress, Probe, fits_progress
from eval.probes.sweep import MOST_FITS, labelled, sweep
from eval.probes.training_pictures import Part, ProbeOptions, few_of_each
from eval.results import EvalResult, Origin, PerUnit, Score, Settings
from eval.tasks import TaskFacts, registry

_INTERVAL = f"95% {EFFECTIVE}, variances of the draws and of the pictures measured added up"
_VALIDATION_SHOTS = 4


class _Drawn(NamedTuple):
    """One draw.

    Attributes:
        hits: of the pictures measured.
        l2: the penalty that was chosen.
        part: which pictures were learned from.
    """

    hits: Bool[np.ndarray, " images"]
    l2: float
    part: Part


@registry.register("few_shot")
@dataclass(frozen=True, kw_only=True, slots=True)
class FewShotProbe(Probe):
    """Accuracy of a linear classifier that is fitted on a few training pictures of each class.

    Scores: top1_K_shot for every number of shots, the mean over the draws.

    Args:
        train: pictures to draw from.
        validation: pictures to draw those from that choose the penalty; None draws them from
            ``train``, others than those that are learned from.
        seed: of the draws.
        dataset, options: see ``Probe``.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        options=ProbeOptions,
        only_for=("few_shot",),
        title="Few-shot linear probe",
        score_titles={r"top1_(\d+)_shot": r"top-1, \1 a class"},
    )

    @property
    def name(self) -> str:
        """Of the task."""
        return "few_shot"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return self.learned_from() | {
            "shots": list(self.options.shots),
            "draws": self.options.draws,
            "max_steps": self.options.max_steps,
            "seed": self.seed,
        }

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed once, then draw, choose the penalty, fit and measure, for each draw anew."""
        images = embedder.images(model, self.dataset)
        train = embedded(model, embedder, self.train, measured=self.dataset)
        other = None
        if self.validation is not None:
            other = embedded(
                model, embedder, self.validation, measured=self.dataset, classes=train.classes
            )
        assert self.dataset.labels is not None
        labels = self.dataset.labels[images.rows]
        num_fits = len(self.options.shots) * self.options.draws * MOST_FITS
        progress = fits_progress(f"few-shot probes of {self.dataset.title}", num_fits)
        draws = {
            shots: [
                self._draw(train, other, images.embeds, labels, shots, draw, progress)
                for draw in range(self.options.draws)
            ]
            for shots in self.options.shots
        }
        progress.close()
        hits = {shots: np.stack([one.hits for one in own]) for shots, own in draws.items()}
        num_classes = len(self.class_names)
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="probes",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores={f"top1_{shots}_shot": drawn_score(own) for shots, own in hits.items()},
            chance={f"top1_{shots}_shot": 1 / num_classes for shots in hits},
            num_samples=len(images.rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(seed=self.seed, data_revision=self.dataset.revision, interval=_INTERVAL),
            details=self.settings() | self._remarks(draws, train) | self.dataset.remarks(left_out),
            per_unit={
                f"top1_{shots}_shot": PerUnit.pack(own.mean(axis=0), images.rows)
                for shots, own in hits.items()
            },
        )

    def _draw(
        self,
        train: Embedded,
        other: Embedded | None,
        embeds: Tensor,
        labels: Int64[np.ndarray, " images"],
        shots: int,
        draw: int,
        progress: FitsProgress,
    ) -> _Drawn:
        classes, seed = train.classes, self.seed + draw
        chosen = min(shots, _VALIDATION_SHOTS)
        part = few_of_each(
            train.ids,
            train.labels,
            shots=shots,
            validation_shots=0 if other else chosen,
            seed=seed,
        )
        targets = np.searchsorted(classes, train.labels)
        validation = labelled(train.features, targets, part.validation)
        if other is not None:
            rows = few_of_each(
                other.ids, other.labels, shots=chosen, validation_shots=0, seed=seed
            ).train
            validation = labelled(other.features, other.labels, rows)
        few = labelled(train.features, targets, part.train)
        swept = sweep(
            LogisticProblem(few.features, torch.from_numpy(few.labels), num_classes=len(classes)),
            validation,
            stopping=Stopping(tolerance=SWEEP_TOLERANCE, max_steps=self.options.max_steps),
            on_fit=progress.add_one,
        )
        num_classes = len(self.class_names)
        weights = as_all_classes(swept.classifier.weights, classes, num_classes)
        return _Drawn(places(weights, embeds, labels) < 1, swept.l2, part)

    def _remarks(self, draws: dict[int, list[_Drawn]], train: Embedded) -> Settings:
        fewest = {
            shots: int(np.bincount(train.labels[own[0].part.train])[train.classes].min())
            for shots, own in draws.items()
        }
        return {
            "l2": {str(shots): [one.l2 for one in own] for shots, own in draws.items()},
            "top1_of_draws": {
                str(shots): [float(one.hits.mean()) for one in own] for shots, own in draws.items()
            },
            "fewest_pictures_of_a_class": {str(shots): few for shots, few in fewest.items()},
            "training": train.counts(),
            "num_classes": len(self.class_names),
            "classes_without_training_pictures": (len(self.class_names) - len(train.classes)),
        }


def drawn_score(is_hit: Bool[np.ndarray, "draws images"]) -> Score:
    """Mean accuracy over draws, with an interval for other draws and other pictures.

    Draws and pictures are crossed: the variance of the mean is at most that of the draws'
    accuracies by their number, plus that of the pictures' mean hits by theirs; the degrees of
    freedom are Satterthwaite's (1946, Biometrics Bulletin 2, 110).

    Args:
        is_hit: of two draws and two images at least.
    """
    parts = [_variance_of_mean(is_hit.mean(axis=axis)) for axis in (1, 0)]
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / freedom for variance, freedom in parts)
    units = total**2 / below + 1 if below else is_hit.shape[1]
    value = float(is_hit.mean())
    limits = effective_limits(value, math.sqrt(total), units=units)
    return scored(value, limits, is_hit.shape[1])


def _variance_of_mean(values: Float64[np.ndarray, " values"]) -> tuple[float, int]:
    """With its degrees of freedom."""
    freedom = max(len(values) - 1, 1)
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else 0.0, freedom
