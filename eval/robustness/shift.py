"""Natural distribution shift: accuracy on other pictures of the same classes.

Two figures, each ranking the same classes: accuracy on the shifted set, and on the images of the
unshifted set that show those classes. Where the pair is one of those with a line fitted over
models trained on ImageNet alone (Taori et al. 2020, arXiv 2007.00644), effective robustness says
how far above that line the model lies.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from eval.contract import Embedder, EmbeddingModel, Need
from eval.data.dataset import EvalDataset
from eval.data.shifted_sets import base_of, baseline_of, is_imagenet, matching_classes
from eval.embedding.nearest_class import top1_hits
from eval.errors import EvaluationError
from eval.metrics.effective_robustness import BASELINE_FITS, BaselineFit, effective_robustness
from eval.metrics.intervals import WILSON, wilson_score
from eval.metrics.unpaired import NEWCOMBE, independent_difference
from eval.results import EvalResult, Origin, PerImage, Score, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry
from eval.zero_shot.prompted import PromptedTask
from eval.zero_shot.templates import no_classes


@registry.register("shift")
@dataclass(frozen=True, kw_only=True, slots=True)
class NaturalShift(PromptedTask):
    """Accuracy with and without the shift, their difference, and effective robustness.

    Args:
        dataset: the shifted set.
        base: the unshifted one; it has all classes of the shifted one.
        templates: prompts with ``{c}``, for both.
        seed: kept with the result; nothing here is drawn.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        uses=("classes", "bases"),
        title="Natural distribution shift",
        headlines=("drop_under_shift", "effective_robustness"),
    )

    base: EvalDataset

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        if (lack := no_classes(dataset)) is not None:
            return lack
        if base_of(dataset, choices.companions.bases) is not None:
            return None
        named = dataset.layout.shift_of or "the unshifted set, with all of its classes"
        return f"{dataset.title} has no base to be compared with; give {named} with --base PATH"

    @classmethod
    def chosen(cls, dataset: EvalDataset, choices: TaskChoices) -> dict[str, Any]:
        """See ``PromptedTask``."""
        base = base_of(dataset, choices.companions.bases)
        assert base is not None
        return {"base": base}

    @property
    def name(self) -> str:
        """Of the task."""
        return "shift"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "templates": list(self.templates),
            "base": f"{self.base.name} ({self.base.split})",
            "base_revision": self.base.revision,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return (Need(self.dataset), Need(self.base))

    def run(self, model: EmbeddingModel, embedder: Embedder) -> EvalResult:
        """Rank the classes on both sets."""
        images = embedder.images(model, self.dataset)
        shifted = self.top1_hits(model, embedder, images)
        unshifted, num_base_classes = self._base_hits(model, embedder)
        top1, base_top1 = wilson_score(shifted), wilson_score(unshifted)
        drop = replace(independent_difference(base_top1, top1), lower_is_better=True)
        scores = {"top1": top1, "base_top1": base_top1, "drop_under_shift": drop}
        fit = self._fit()
        if fit is not None and fit.is_trusted and 0 < base_top1.value < 1:
            scores["effective_robustness"] = _rho(fit, base_top1, top1)
        left_out = self.dataset.left_out(images.num_skipped)
        return EvalResult(
            benchmark=self.name,
            family="robustness",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores=scores,
            chance={
                "top1": 1 / len(self.class_names),
                "base_top1": 1 / num_base_classes,
            },
            num_samples=len(images.rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"{WILSON}; differences: {NEWCOMBE}; effective robustness: without the "
                "uncertainty of the line",
            ),
            details=self.settings()
            | {"base_classes": num_base_classes, "line": _described(fit)}
            | self.dataset.remarks(left_out),
            per_image={"top1": PerImage.pack(shifted, images.rows, len(self.dataset))},
        )

    def _base_hits(self, model: EmbeddingModel, embedder: Embedder) -> tuple[np.ndarray, int]:
        """Hits of the base images that show the classes, only these ranked, and their number."""
        classes = matching_classes(self.dataset, self.base)
        assert classes is not None
        assert self.base.labels is not None
        assert self.base.layout.classes is not None
        names = tuple(self.base.layout.classes.names[label] for label in classes.tolist())
        prototypes = embedder.class_embeds(model, names, self.templates)
        images = embedder.images(model, self.base)
        labels = self.base.labels[images.rows]
        chosen = np.flatnonzero(np.isin(labels, classes))
        if not len(chosen):
            raise EvaluationError(
                f"{self.base.title} has no image of the {len(names)} classes of "
                f"{self.dataset.title}; give another --base"
            )
        targets = np.searchsorted(classes, labels[chosen]).astype(np.int64)
        hits = top1_hits(images.embeds[chosen], prototypes, targets, device=model.device)
        return hits, len(names)

    def _fit(self) -> BaselineFit | None:
        key = baseline_of(self.dataset.name)
        return BASELINE_FITS[key] if key and is_imagenet(self.base.name) else None


def _rho(fit: BaselineFit, accuracy: Score, shifted: Score) -> Score:
    return replace(effective_robustness(fit, accuracy=accuracy, shifted=shifted), unit="points")


def _described(fit: BaselineFit | None) -> str:
    if fit is None:
        return "no line was fitted for this pair: only the difference is given"
    line = (
        f"logit(y) = {fit.intercept:g} + {fit.slope:g} logit(x), r2 {fit.r2:g}, "
        f"{fit.num_models} models, x on {fit.measured_on}"
    )
    if fit.is_trusted:
        return line
    return f"{line}; the set was selected by one model's errors, so no effective robustness"
