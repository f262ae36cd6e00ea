"""Linear probe: a logistic regression on the embeddings of all training pictures.

Radford et al. 2021, arXiv 2103.00020, appendix A.3, with two departures that CLIP_benchmark has
too: the features are the embeddings in the shared space, of unit length, and not what comes before
the projection.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from eval.contract import Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.metrics.intervals import RECALL_INTERVAL, WILSON, per_class_score, wilson_score
from eval.probes.embedded import Embedded, as_all_classes, embedded
from eval.probes.logistic import Classifier, LogisticProblem, places
from eval.probes.preconditioned import Stopping
from eval.probes.sweep import MOST_FITS, Labelled, Swept, labelled, sweep
from eval.probes.training_pictures import (
    ProbeOptions,
    missing_pictures,
    open_pictures,
    split_off,
)
from eval.process_group import ranks
from eval.progress import Progress
from eval.results import EvalResult, Origin, PerImage, PerUnit, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry

#: Largest coordinate of the gradient: of fits that are compared, and of the one that is measured.
SWEEP_TOLERANCE, TOLERANCE = 1e-5, 1e-6

_TOP_K = (1, 5)


class _Probe(NamedTuple):
    swept: Swept
    classifier: Classifier
    classes: Int64[np.ndarray, " classes"]
    train: Embedded
    num_validation: int


@registry.register("linear_probe")
@dataclass(frozen=True, kw_only=True, slots=True)
class LinearProbe:
    """Accuracy of a linear classifier that is fitted on training pictures' embeddings.

    Scores: top1; top5 where there are at least 5 classes; mean_per_class_recall. The penalty is
    chosen on a validation part; then training and validation pictures are fitted together.

    Args:
        dataset: with labels and class names; measured, never learned from.
        train: pictures to learn from.
        validation: pictures that choose the penalty; None takes a share of ``train``.
        options: of the probe.
        seed: of that share.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        options=ProbeOptions,
        only_for=("linear_probe",),
        title="Linear probe",
        headlines=("top1",),
    )

    dataset: EvalDataset
    train: EvalDataset
    validation: EvalDataset | None
    options: ProbeOptions
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        return missing_pictures(dataset, choices)

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "LinearProbe":
        """See ``TaskKind``."""
        options = choices.of(ProbeOptions)
        learned = open_pictures(dataset, options)
        return cls(
            dataset=dataset,
            train=learned.train,
            validation=learned.validation,
            options=options,
            seed=choices.seed,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "linear_probe"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return settings_of(self.train, self.validation) | {
            "validation_share": None if self.validation else self.options.validation_share,
            "max_steps": self.options.max_steps,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return needs_of(self.dataset, self.train, self.validation)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed, choose the penalty, fit, and measure."""
        images = embedder.images(model, self.dataset)
        probe = self._fitted(model, embedder)
        assert self.dataset.labels is not None
        assert self.dataset.layout.classes is not None
        labels = self.dataset.labels[images.rows]
        num_classes = len(self.dataset.layout.classes.names)
        weights = as_all_classes(probe.classifier.weights, probe.classes, num_classes)
        found = places(weights, images.embeds, labels)
        ks = [k for k in _TOP_K if k <= len(probe.classes)]
        scores: dict[str, Score] = {f"top{k}": wilson_score(found < k) for k in ks}
        scores["mean_per_class_recall"] = per_class_score(found < 1, labels, seed=self.seed)
        chance = {f"top{k}": k / num_classes for k in ks}
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="probes",
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
                interval=f"{WILSON}; mean per-class recall: {RECALL_INTERVAL}; both of the "
                "pictures measured, the training pictures taken as given",
            ),
            details=self.settings() | self._remarks(probe) | self.dataset.remarks(left_out),
            per_image={
                f"top{k}": PerImage.pack(found < k, images.rows, len(self.dataset)) for k in ks
            },
            per_unit={
                "mean_per_class_recall": PerUnit.of_class_recall(found < 1, labels, images.rows)
            },
        )

    def _fitted(self, model: EmbeddingModel, embedder: Embedder) -> _Probe:
        train = embedded(model, embedder, self.train, measured=self.dataset)
        classes = train.classes
        targets = np.searchsorted(classes, train.labels)
        fitted, validation, everything = self._parts(model, embedder, train, targets, classes)
        progress = fits_progress(f"linear probe of {self.dataset.title}", MOST_FITS + 1)
        steps = self.options.max_steps
        swept = sweep(
            _problem(fitted, len(classes)),
            validation,
            stopping=Stopping(tolerance=SWEEP_TOLERANCE, max_steps=steps),
            on_fit=progress.add_one,
        )
        classifier = _problem(everything, len(classes)).fit(
            swept.l2,
            stopping=Stopping(tolerance=TOLERANCE, max_steps=steps),
            start=swept.classifier.weights,
        )
        progress.close()
        return _Probe(swept, classifier, classes, train, len(validation.labels))

    def _parts(
        self,
        model: EmbeddingModel,
        embedder: Embedder,
        train: Embedded,
        targets: Int64[np.ndarray, " samples"],
        classes: Int64[np.ndarray, " classes"],
    ) -> tuple[Labelled, Labelled, Labelled]:
        """What is fitted to choose the penalty, what chooses it, and both together."""
        if self.validation is None:
            share = self.options.validation_share
            part = split_off(train.ids, train.labels, share=share, seed=self.seed)
            return (
                labelled(train.features, targets, part.train),
                labelled(train.features, targets, part.validation),
                Labelled(train.features, targets),
            )
        other = embedded(model, embedder, self.validation, measured=self.dataset, classes=classes)
        together = Labelled(
            torch.cat([train.features, other.features]), np.concatenate([targets, other.labels])
        )
        return (
            Labelled(train.features, targets),
            Labelled(other.features, other.labels),
            together,
        )

    def _remarks(self, probe: _Probe) -> Settings:
        assert self.dataset.layout.classes is not None
        return {
            "l2": probe.swept.l2,
            "validation_accuracy": {f"{l2:.3g}": v for l2, v in probe.swept.accuracy.items()},
            "steps": probe.classifier.steps,
            "converged": probe.classifier.converged,
            "sweep_fits_not_converged": probe.swept.not_converged,
            "training": probe.train.counts(),
            "validation_pictures": probe.num_validation,
            "num_classes": len(self.dataset.layout.classes.names),
            "classes_without_training_pictures": (
                len(self.dataset.layout.classes.names) - len(probe.classes)
            ),
        }


def settings_of(train: EvalDataset, validation: EvalDataset | None) -> Settings:
    """What a probe learns from, for its settings."""
    return {
        "train": train.title,
        "train_revision": train.revision,
        "validation": validation.title if validation else "part of the training pictures",
        "validation_revision": validation.revision if validation else None,
    }


def needs_of(
    dataset: EvalDataset, train: EvalDataset, validation: EvalDataset | None
) -> tuple[Need, ...]:
    """All pictures of a probe."""
    beside = (Need(validation),) if validation else ()
    return (Need(dataset), Need(train), *beside)


class FitsProgress:
    """Fits that are done, told by process 0."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def add_one(self) -> None:
        """One more."""
        if self._progress:
            self._progress.add(1)

    def close(self) -> None:
        """All are done."""
        if self._progress:
            self._progress.close()


def fits_progress(what: str, total: int) -> FitsProgress:
    """A progress line of process 0."""
    return FitsProgress(None if ranks().rank else Progress(what, total=total, unit="fits"))


def _problem(part: Labelled, num_classes: int) -> LogisticProblem:
    labels: Tensor = torch.from_numpy(part.labels)
    return LogisticProblem(part.features, labels, num_classes=num_classes)
