"""Find everything that a vocabulary names: average precision and recall of a detector.

COCO's protocol (Lin et al. 2014, arXiv 1405.0312) or, where pictures say what was looked for in
them, the federated one of LVIS (Gupta et al. 2019, arXiv 1908.03195); ``regions`` has both rules.
What makes two figures incomparable stands in every result: the pictures (their revision), AP or
fixed AP, box or mask, names per pass, split, protocol and the greatest number of detections.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar, NamedTuple

import numpy as np

from data_pipelines.errors import UserError
from data_pipelines.printable import printable
from data_pipelines.schema import JsonValue
from eval.capabilities import DETECTS
from eval.contract import Detector, Embedder, Need
from eval.data.dataset import EvalDataset
from eval.data.rows import PICTURES
from eval.detection.annotated import ChosenVocabulary, chosen_vocabulary, truth_of
from eval.detection.detecting import DetectedSet, detect_all
from eval.detection.evaluators import (
    RECALL_AT,
    ClassTable,
    OwnFigures,
    by_hotcoco,
    by_ours,
    has_hotcoco,
    refuse_difference,
)
from eval.detection.matching import matched
from eval.detection.options import DetectionOptions
from eval.detection.picture_set import PictureSet, pictures_of
from eval.detection.regions import Found, Truth, best_of_class
from eval.detection.scores import NUM_DRAWN, Figures, figures
from eval.detection.worst_errors import drawn_errors, worst_errors
from eval.errors import EvaluationError
from eval.process_group import from_all, ranks
from eval.results import EvalResult, Example, Origin, Resampled, Settings
from eval.task_choices import TaskChoices
from eval.tasks import TaskFacts, registry

#: Best of each class that fixed AP counts.
FIXED_MOST = 10_000
#: Largest difference of two evaluators that is rounding.
AGREEMENT = 1e-9
INTERVAL = f"95% Korn-Graubard, standard error of {NUM_DRAWN} bootstrap resamples of the pictures"

_GROUPS = "(base|novel|rare|common|frequent)"
_TITLES = {
    r"(box|mask)(_fixed)?_ap(50|75)?": r"\1\2 AP\3",
    rf"(box|mask)(_fixed)?_ap(50|75)?_{_GROUPS}": r"\1\2 AP\3, \4",
    r"(box|mask)(_fixed)?_ap_(small|medium|large)": r"\1\2 AP, \3 regions",
    r"(box|mask)(_fixed)?_ar_(\d+)": r"\1\2 AR at \3",
    rf"(box|mask)(_fixed)?_ar_(\d+)_{_GROUPS}": r"\1\2 AR at \3, \4",
}


class _Measured(NamedTuple):
    """One kind of region, measured."""

    figures: Figures
    table: ClassTable
    evaluator: str
    difference: float | None


@registry.register("detection")
@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """AP and AR of boxes, and of masks where the data has them and the model gives them.

    Args:
        dataset: pictures with marked regions.
        options: see ``DetectionOptions``.
        num_examples: worst errors of each kind that are drawn for the report.
        seed: of the resamples.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=PICTURES,
        demands=(DETECTS,),
        options=DetectionOptions,
        only_for=("detection",),
        set_kind="detection",
        title="Detection",
        score_titles=_TITLES,
        headlines=("box_ap", "box_ap50", "box_ap50_base", "box_ap50_novel", "mask_ap",
                   "box_fixed_ap", "box_ap_rare", "mask_ap_rare"),
    )  # fmt: skip

    dataset: EvalDataset
    options: DetectionOptions
    num_examples: int = 0
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        pictures = pictures_of(dataset)
        if pictures is None:
            return (
                f"{dataset.title} has no marked regions; give a COCO or LVIS JSON, a folder with "
                "one beside its pictures, or shards with categories.json"
            )
        if not any(one.num_objects for one in pictures.annotations):
            return (
                f"no picture of {dataset.title} has a marked region, so that nothing can be found: "
                f"{'; '.join(dataset.problems[:2]) or 'the list of annotations is empty'}"
            )
        return None

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "Detection":
        """See ``TaskKind``.

        Raises:
            EvaluationError: what ``missing`` says, or no region is left under the split.
        """
        if (lack := cls.missing(dataset, choices)) is not None:
            raise EvaluationError(lack)
        made = cls(
            dataset=dataset,
            options=choices.of(DetectionOptions),
            num_examples=choices.num_examples,
            seed=choices.seed,
        )
        chosen = made._chosen
        if not any((chosen.rows[one.labels] >= 0).any() for one in made._pictures.annotations):
            raise EvaluationError(
                f"the split '{made.options.split}' leaves no marked region of {dataset.title}; "
                "choose another with --set detection.split=NAME"
            )
        return made

    @property
    def name(self) -> str:
        """Of the task; fixed AP is a benchmark of its own, since it compares with no other."""
        return "detection:fixed_ap" if self.options.is_fixed else "detection"

    @property
    def _pictures(self) -> PictureSet:
        found = pictures_of(self.dataset)
        assert found is not None
        return found

    @property
    def _chosen(self) -> ChosenVocabulary:
        return chosen_vocabulary(self._pictures.vocabulary, self.options.split)

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        own = self.options
        return {
            "split": own.split,
            "vocabulary": self._chosen.vocabulary.digest,
            "ap": own.ap,
            "regions": own.regions,
            "max_detections": own.most,
            "names_per_pass": own.names_per_pass,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """No embeddings: the detector sees whole pictures."""
        return ()

    def run(self, model: Detector, embedder: Embedder) -> EvalResult:
        """Detect in all processes, then count in the first.

        Raises:
            EvaluationError: see ``detect_all``; or two evaluators do not agree.
        """
        chosen = self._chosen
        detected = detect_all(model, self._pictures, chosen.shown, embedder, self.options)
        outcome: EvalResult | UserError | None = None
        if ranks().rank == 0:
            try:
                outcome = self._result(model, chosen, detected)
            except UserError as error:
                outcome = error
        told = from_all(outcome)[0]
        if isinstance(told, UserError):
            raise told
        return told

    def _result(
        self, model: Detector, chosen: ChosenVocabulary, detected: DetectedSet
    ) -> EvalResult:
        truth = truth_of([self._pictures.annotations[row] for row in detected.rows], chosen)
        if not len(truth.labels):
            raise EvaluationError(
                f"no picture of {self.dataset.title} that can be shown has a marked region"
            )
        found = detected.found
        if self.options.is_fixed:
            found = best_of_class(found, FIXED_MOST)
        measured = {
            region: self._measured(region, own_truth, own_found, chosen)
            for region, own_truth, own_found in self._regions(truth, found)
        }
        left_out = self.dataset.num_skipped | detected.left_out
        draws = self._draws(detected)
        return EvalResult(
            benchmark=self.name,
            family="detection",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name,
            scores={n: s for one in measured.values() for n, s in one.figures.scores.items()},
            chance={},
            num_samples=len(detected.rows),
            num_skipped=sum(left_out.values()),
            origin=Origin(seed=self.seed, data_revision=self.dataset.revision, interval=INTERVAL),
            details=self.settings()
            | _remarks(chosen, truth, found, measured)
            | self.dataset.remarks(left_out),
            examples=self._examples(truth, found, chosen, detected),
            resampled={
                name: Resampled.pack(values, draws=draws, units=one.figures.units[name])
                for one in measured.values()
                for name, values in one.figures.resampled.items()
            },
        )

    def _regions(self, truth: Truth, found: Found) -> list[tuple[str, Truth, Found]]:
        """Boxes, and masks where both sides have them."""
        fixed = "_fixed" if self.options.is_fixed else ""
        kinds = [
            (f"box{fixed}", truth._replace(masks=None), found._replace(masks=None)),
        ]
        has_masks = truth.masks is not None and (found.masks is not None)
        if has_masks and self.options.regions == "auto":
            kinds.append((f"mask{fixed}", truth, found))
        return kinds

    def _measured(
        self, region: str, truth: Truth, found: Found, chosen: ChosenVocabulary
    ) -> _Measured:
        own: OwnFigures = by_ours(truth, found, is_fixed=self.options.is_fixed)
        table, evaluator, difference = own.table, "vlsuite", None
        if has_hotcoco():
            table = by_hotcoco(truth, found, is_fixed=self.options.is_fixed)
            evaluator = f"hotcoco {metadata.version('hotcoco')}"
            most = AGREEMENT if self.options.check else float("inf")
            difference = refuse_difference(table, own.table, most=most)
        made = figures(
            table,
            own.matches,
            truth,
            found,
            groups=chosen.groups,
            region=region,
            seed=self.seed,
            is_fixed=self.options.is_fixed,
            is_told=True,
        )
        return _Measured(made, table, evaluator, difference)

    def _draws(self, detected: DetectedSet) -> str:
        """Names the resamples: equal pictures in equal order under an equal seed."""
        ids = self._pictures.image_ids[detected.rows].tobytes()
        told = hashlib.sha256(ids).hexdigest()[:16]
        return f"seed {self.seed}, {NUM_DRAWN} draws of {len(detected.rows)} pictures {told}"

    def _examples(
        self, truth: Truth, found: Found, chosen: ChosenVocabulary, detected: DetectedSet
    ) -> tuple[Example, ...]:
        if not self.num_examples:
            return ()
        boxes = truth._replace(masks=None), found._replace(masks=None)
        errors = worst_errors(matched(*boxes), *boxes, count=self.num_examples)
        names = [printable(name) for name in chosen.vocabulary.names]
        return drawn_errors(errors, self._pictures, detected.rows, *boxes, names)


def _remarks(
    chosen: ChosenVocabulary, truth: Truth, found: Found, measured: Mapping[str, _Measured]
) -> dict[str, JsonValue]:
    first = next(iter(measured.values()))
    return {
        "protocol": "federated" if truth.is_federated else "coco",
        "measured_regions": list(measured),
        "evaluator": first.evaluator,
        "evaluators_differ_by": {name: one.difference for name, one in measured.items()},
        "num_classes": truth.num_classes,
        "num_marked": len(truth.labels),
        "num_crowds": int(truth.is_crowd.sum()),
        "num_found": len(found.labels),
        "classes_without_regions": truth.num_classes - len(np.unique(truth.labels)),
        "classes": {name: _classes(one.table, chosen, truth) for name, one in measured.items()},
        "curves": {name: _curves(one.table, chosen) for name, one in measured.items()},
    }


def _classes(table: ClassTable, chosen: ChosenVocabulary, truth: Truth) -> list[Any]:
    """One row a class that has a marked region: the table of the report."""
    marked = np.bincount(truth.labels, minlength=truth.num_classes)
    rows: list[Any] = []
    for row, category in enumerate(chosen.vocabulary.categories):
        own = table.precision[0, :, row]
        if np.isnan(own).all():
            continue
        rows.append(
            {
                "name": category.name,
                "group": category.group or category.frequency or "",
                "regions": int(marked[row]),
                "ap": round(float(own.mean()), 6),
                "ap50": round(float(own[0]), 6),
                **{
                    f"ar_{limit}": round(float(table.recall[number, 0, :, row].mean()), 6)
                    for number, limit in enumerate(RECALL_AT)
                },
            }
        )
    return rows


def _curves(table: ClassTable, chosen: ChosenVocabulary) -> dict[str, Any]:
    """Precision at recalls 0, 0.01 ... 1 and IoU .5 and .75: mean over the classes of a group."""
    every = {"all": np.ones(len(chosen.vocabulary), dtype=bool), **chosen.groups}
    curves: dict[str, Any] = {}
    for group, of_group in every.items():
        own = table.curves[:, :, of_group]
        known = ~np.isnan(own[0, 0])
        if known.any():
            mean = own[:, :, known].mean(axis=2)
            curves[group] = {
                "iou_50": np.round(mean[0], 4).tolist(),
                "iou_75": np.round(mean[5], 4).tolist(),
            }
    return curves
