"""Calibration: does the model's confidence say how often it is right?

Guo et al. 2017, arXiv 1706.04599. Probabilities are softmax(logit_scale * cosine). One
temperature is fitted by NLL on a seeded half of the images; raw and scaled figures are those of
the other half. On a shifted set whose base is given (--base), the temperature is fitted on half
of the base and all shifted images are reported on: nobody has labels of a shift to fit on.
The split in halves is our reading of Tu, Deng, Gedeon 2024 (arXiv 2410.01534).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64

from eval.contract import Embedder, EmbeddingModel, ImageEmbeddings, Need
from eval.data.dataset import EvalDataset
from eval.data.shifted_sets import base_of
from eval.embedding.cosines import cosine_slices
from eval.metrics.calibration import (
    ImageCalibration,
    LogitChunk,
    calibration_scores,
    reliability_bins,
    summarize_chunks,
)
from eval.metrics.ece_interval import METHOD as ECE_METHOD
from eval.metrics.intervals import CLUSTERED, WILSON, wilson_score
from eval.metrics.temperature import Temperature, fit_temperature, seeded_half
from eval.results import EvalResult, Origin, PerUnit, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.zero_shot.templates import no_classes, templates_for


@registry.register("calibration")
@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """ECE, NLL and Brier score, raw and after temperature scaling on held-out images.

    Args:
        dataset: with labels and class names.
        base: where the temperature comes from; None takes half of the data set.
        templates: prompts with ``{c}``.
        seed: of the split and the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes", "bases"),
        title="Calibration",
        score_words={"brier": "Brier score", "ece": "ECE", "nll": "NLL"},
        headlines=("ece", "ece_scaled", "nll_scaled"),
    )

    dataset: EvalDataset
    base: EvalDataset | None
    templates: tuple[str, ...]
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_classes(dataset)) is not None:
            return lack
        is_fitted_here = base_of(dataset, choices.companions.bases) is None
        if is_fitted_here and len(np.unique(dataset.images.image_ids)) < 2:
            return f"{dataset.title} has a single image; a temperature needs others to fit on"
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "Calibration":
        """See ``TaskKind``."""
        return cls(
            dataset=dataset,
            base=base_of(dataset, choices.companions.bases),
            templates=templates_for(dataset, choices),
            seed=choices.seed,
        )

    @property
    def name(self) -> str:
        """Of the task."""
        return "calibration"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "templates": list(self.templates),
            "base_revision": self.base.revision if self.base else None,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return tuple(Need(one) for one in (self.dataset, self.base) if one is not None)

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Fit the temperature on one half, report on the other."""
        images = embedder.images(model, self.dataset)
        labelled = _Labelled(model, embedder, self.dataset, self.templates, images)
        if self.base is None:
            fitting = self._half(self.dataset, images)
            fitted = fit_temperature(labelled.chunks(np.flatnonzero(fitting)))
            reported = np.flatnonzero(~fitting)
        else:
            fitted = self._fit_on_base(model, embedder, self.base)
            reported = np.arange(len(images.rows))
        raw = summarize_chunks(labelled.chunks(reported)())
        scaled = summarize_chunks(labelled.chunks(reported)(), temperature=fitted.value)
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="safety",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=self._scores(raw, scaled),
            chance={},
            num_samples=len(reported),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"accuracy: {WILSON}; ECE: {ECE_METHOD}; NLL and Brier score: "
                f"{CLUSTERED}; the temperature is held fixed",
            ),
            per_unit=_units(images.rows[reported], raw, "")
            | _units(images.rows[reported], scaled, "_scaled"),
            details=self.settings()
            | _described(fitted, self.base)
            | _diagrams(raw=raw, scaled=scaled)
            | self.dataset.remarks(left_out),
        )

    def _fit_on_base(
        self, model: EmbeddingModel, embedder: Embedder, base: EvalDataset
    ) -> Temperature:
        images = embedder.images(model, base)
        labelled = _Labelled(model, embedder, base, self.templates, images)
        return fit_temperature(labelled.chunks(np.flatnonzero(self._half(base, images))))

    def _half(self, dataset: EvalDataset, images: ImageEmbeddings) -> np.ndarray:
        ids = dataset.images.image_ids[images.rows].tolist()
        return seeded_half([str(image_id) for image_id in ids], seed=self.seed)

    def _scores(self, raw: ImageCalibration, scaled: ImageCalibration) -> dict[str, Score]:
        """Accuracy too: a model that is never sure and always wrong is calibrated as well."""
        scores = {"top1": wilson_score(raw.is_correct)}
        for suffix, figures in (("", raw), ("_scaled", scaled)):
            for name, score in calibration_scores(figures, seed=self.seed).items():
                scores[name + suffix] = score
        return scores


class _Labelled:
    """Logits and labels of chosen images, as often as they are asked for."""

    def __init__(
        self,
        model: EmbeddingModel,
        embedder: Embedder,
        dataset: EvalDataset,
        templates: tuple[str, ...],
        images: ImageEmbeddings,
    ) -> None:
        assert dataset.labels is not None
        assert dataset.layout.classes is not None
        names = dataset.layout.classes.names
        self._classes = embedder.class_embeds(model, names, templates).to(model.device)
        self._labels = torch.from_numpy(dataset.labels[images.rows])
        self._embeds = images.embeds
        self._logit_scale, self._logit_bias = model.logit_scale, model.logit_bias

    def chunks(self, chosen: Int64[np.ndarray, " chosen"]) -> Callable[[], Iterator[LogitChunk]]:
        """Of the chosen images, in order; every call starts anew."""

        def start() -> Iterator[LogitChunk]:
            wanted = torch.from_numpy(chosen)
            for first, cosines in cosine_slices(self._embeds, self._classes):
                end = first + len(cosines)
                own = wanted[(wanted >= first) & (wanted < end)]
                if len(own):
                    logits = self._logit_scale * cosines[(own - first).to(cosines.device)]
                    yield logits + self._logit_bias, self._labels[own].to(cosines.device)

        return start


def _units(
    rows: Int64[np.ndarray, " images"], figures: ImageCalibration, suffix: str
) -> dict[str, PerUnit]:
    return {
        f"nll{suffix}": PerUnit.pack(figures.nll, rows, most=None),
        f"brier{suffix}": PerUnit.pack(figures.brier, rows, most=2.0),
    }


def _described(fitted: Temperature, base: EvalDataset | None) -> Settings:
    return {
        "temperature": fitted.value,
        "temperature_fitted_on": f"half of {base.title}" if base else "the other half",
        "num_fitting_images": fitted.num_images,
        "fit_nll_before": fitted.nll_before,
        "fit_nll_after": fitted.nll_after,
        "temperature_has_minimum": fitted.has_minimum,
    }


def _diagrams(**figures: ImageCalibration) -> Settings:
    """The 15 bins of each, None where a bin is empty."""
    diagrams: Settings = {}
    for name, images in figures.items():
        bins = reliability_bins(images)
        diagrams[name] = {
            "counts": bins.counts.tolist(),
            "accuracy": [None if np.isnan(v) else v for v in bins.accuracy.tolist()],
            "confidence": [None if np.isnan(v) else v for v in bins.confidence.tolist()],
        }
    return {"reliability": diagrams}
