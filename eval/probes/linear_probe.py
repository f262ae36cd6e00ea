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

from eval.contract import Embedder, EmbeddingModel
from eval.metrics.intervals import RECALL_INTERVAL, WILSON
from eval.probes.embedded import Embedded, as_all_classes, embedded
from eval.probes.logistic import Classifier, LogisticProblem, places
from eval.probes.preconditioned import Stopping
from eval.probes.probe import SWEEP_TOLERANCE, Probe, fits_progress
from eval.probes.sweep import MOST_FITS, Labelled, Swept, labelled, sweep
from eval.probes.training_pictures import ProbeOptions, split_off
from eval.results import EvalResult, Origin, Settings
from eval.tasks import TaskFacts, registry
from eval.zero_shot.class_scores import class_scores

#: Largest coordinate of the gradient of the fit that is measured.
TOLERANCE = 1e-6


class _Probe(NamedTuple):
    swept: Swept
    classifier: Classifier
    classes: Int64[np.ndarray, " classes"]
    train: Embedded
    num_validation: int


@registry.register("linear_probe")
@dataclass(frozen=True, kw_only=True, slots=True)
class LinearProbe(Probe):
    """Accuracy of a linear classifier that is fitted on training pictures' embeddings.

    Scores: top1; top5 where there are at least 5 classes; mean_per_class_recall. The penalty is
    chosen on a validation part; then training and validation pictures are fitted together.

    Args:
        validation: pictures that choose the penalty; None takes a share of ``train``.
        seed: of that share.
        dataset, train, options: see ``Probe``.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        options=ProbeOptions,
        only_for=("linear_probe",),
        title="Linear probe",
        headlines=("top1",),
    )

    @property
    def name(self) -> str:
        """Of the task."""
        return "linear_probe"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return self.learned_from() | {
            "validation_share": None if self.validation else self.options.validation_share,
            "max_steps": self.options.max_steps,
            "seed": self.seed,
        }

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Embed, choose the penalty, fit, and measure."""
        images = embedder.images(model, self.dataset)
        probe = self._fitted(model, embedder)
        assert self.dataset.labels is not None
        labels = self.dataset.labels[images.rows]
        num_classes = len(self.class_names)
        weights = as_all_classes(probe.classifier.weights, probe.classes, num_classes)
        found = places(weights, images.embeds, labels)
        measured = class_scores(
            found,
            labels,
            images.rows,
            num_ranked=len(probe.classes),
            num_classes=num_classes,
            num_images=len(self.dataset),
            seed=self.seed,
        )
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="probes",
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
                interval=f"{WILSON}; mean per-class recall: {RECALL_INTERVAL}; both of the "
                "pictures measured, the training pictures taken as given",
            ),
            details=self.settings() | self._remarks(probe) | self.dataset.remarks(left_out),
            per_image=measured.per_image,
            per_unit=measured.per_unit,
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
        return {
            "l2": probe.swept.l2,
            "validation_accuracy": {f"{l2:.3g}": v for l2, v in probe.swept.accuracy.items()},
            "steps": probe.classifier.steps,
            "converged": probe.classifier.converged,
            "sweep_fits_not_converged": probe.swept.not_converged,
            "training": probe.train.counts(),
            "validation_pictures": probe.num_validation,
            "num_classes": len(self.class_names),
            "classes_without_training_pictures": (len(self.class_names) - len(probe.classes)),
        }


def _problem(part: Labelled, num_classes: int) -> LogisticProblem:
    labels: Tensor = torch.from_numpy(part.labels)
    return LogisticProblem(part.features, labels, num_classes=num_classes)
