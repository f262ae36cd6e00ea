"""Accuracy by what is unusual about a picture: pose, background, texture, size...

ImageNet-X (Idrissi et al. 2022, arXiv 2211.01866) and any data whose samples carry factors. A
factor that is on or off gives its accuracy and error ratio; one with levels, as in PUG (Bordes et
al. 2023, arXiv 2308.03977), its best and worst level and how far they lie apart.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool

from data_pipelines.schema import JsonValue
from eval.contract import Embedder, EmbeddingModel
from eval.data.dataset import EvalDataset
from eval.errors import EvaluationError
from eval.metrics.factors import factor_scores, level_scores, worst_factor
from eval.metrics.intervals import WILSON, wilson_score
from eval.results import EvalResult, Origin, PerImage, PerUnit, Score, Settings
from eval.robustness.factor_annotations import Annotations, annotations_for
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.zero_shot.prompted import PromptedTask
from eval.zero_shot.templates import no_classes


@registry.register("factors")
@dataclass(frozen=True, kw_only=True, slots=True)
class FactorAccuracy(PromptedTask):
    """Accuracy where each factor is active, and its error over that of all annotated images.

    Args:
        dataset: with labels and class names.
        annotations: which factors are active in which images.
        templates: prompts with ``{c}``.
        seed: of the bootstrap.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes", "factors_file"),
        title="Visual factors",
    )

    annotations: Annotations

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_classes(dataset)) is not None:
            return lack
        try:
            annotations_for(dataset, choices.factors_file)
        except EvaluationError as error:
            return str(error)
        return None

    @classmethod
    def chosen(cls, dataset: EvalDataset, choices: TaskChoices) -> dict[str, Any]:
        """See ``PromptedTask``."""
        return {"annotations": annotations_for(dataset, choices.factors_file)}

    @property
    def name(self) -> str:
        """Of the task."""
        return "factors"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        factors = [[int(row), own] for row, own in zip(*self.annotations[:2], strict=True)]
        digest = hashlib.sha256(json.dumps(factors, sort_keys=True).encode())
        return {
            "templates": list(self.templates),
            "seed": self.seed,
            "annotations": self.annotations.source,
            "annotations_revision": digest.hexdigest(),
        }

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Rank the classes for the annotated images and split the hits by factor."""
        images = embedder.images(model, self.dataset)
        hits = self.top1_hits(model, embedder, images)
        is_annotated = np.isin(self.annotations.rows, images.rows)
        rows = self.annotations.rows[is_annotated]
        if not len(rows):
            raise EvaluationError(f"no annotated picture of {self.dataset.title} can be decoded")
        right = hits[np.searchsorted(images.rows, rows)]
        factors = [
            own for own, keep in zip(self.annotations.factors, is_annotated, strict=True) if keep
        ]
        scores: dict[str, Score] = {"top1": wilson_score(right)}
        per_unit: dict[str, PerUnit] = {}
        for name in _names(factors, are_levels=False):
            active = np.array([bool(own.get(name)) for own in factors])
            if active.any():
                per_unit[f"accuracy_{name}"] = PerUnit.pack(right[active], rows[active])
        details = self._add_active(scores, right, factors) | self._add_levels(
            scores, right, factors
        )
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="robustness",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={"top1": 1 / len(self.class_names)},
            num_samples=len(rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{WILSON}; ratios, extremes and spreads: each score names its method",
            ),
            details=self.settings() | details | self.dataset.remarks(left_out),
            per_unit=per_unit,
            per_image={"top1": PerImage.pack(right, rows, len(self.dataset))},
        )

    def _add_active(
        self, scores: dict[str, Score], right: Bool[np.ndarray, " images"], factors: list
    ) -> Settings:
        names = _names(factors, are_levels=False)
        if not names:
            return {}
        active = np.array([[bool(own.get(name)) for name in names] for own in factors])
        found = factor_scores(right, active, names, seed=self.seed)
        for name, score in found.items():
            scores[f"accuracy_{name}"] = score.accuracy
            if score.error_ratio is not None:
                scores[f"error_ratio_{name}"] = replace(
                    score.error_ratio, unit="ratio", lower_is_better=True
                )
        never: list[JsonValue] = [name for name in names if name not in found]
        worst = worst_factor(found) if found else None
        return {"worst_factor": worst, "factors_never_active": never}

    def _add_levels(
        self, scores: dict[str, Score], right: Bool[np.ndarray, " images"], factors: list
    ) -> Settings:
        levels: dict[str, JsonValue] = {}
        for name in _names(factors, are_levels=True):
            has_level = np.array([own.get(name) is not None for own in factors])
            values = [_text(own[name]) for own in factors if own.get(name) is not None]
            known = sorted(set(values))
            places = np.array([known.index(value) for value in values], dtype=np.int64)
            found = level_scores(right[has_level], places, known, seed=self.seed)
            scores[f"worst_{name}"] = found.worst
            scores[f"best_{name}"] = found.best
            scores[f"spread_{name}"] = replace(found.spread, unit="points", lower_is_better=True)
            levels[name] = {level: score.value for level, score in found.accuracy.items()}
        return {"levels": levels} if levels else {}


def _names(factors: list, *, are_levels: bool) -> list[str]:
    """Factors with levels, or those that are on or off: whose values are all true or false."""
    values: dict[str, set[str]] = {}
    for own in factors:
        for name, value in own.items():
            if value is not None:
                values.setdefault(name, set()).add(_text(value))
    on_off = {"true", "false", "0", "1"}
    return [name for name, own in values.items() if (not own <= on_off) == are_levels]


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)
