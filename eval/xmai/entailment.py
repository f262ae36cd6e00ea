"""Entailment before and after attributes are inserted into hypotheses.

The second measurement of XMAI (arXiv 2306.11065): the label of SNLI-VE is kept while the hypothesis
changes. A falling figure need not be the model's fault: a false attribute makes an entailed text
wrong, so the flow from label to label is reported too (our addition), and figures on the rows that
truly changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float64, Int64

from data_pipelines.schema import JsonValue
from eval.contract import Benchmark, Embedder, Model, Need
from eval.data.dataset import EvalDataset
from eval.data.rows import PICTURES
from eval.errors import EvaluationError
from eval.metrics.effective_trials import EFFECTIVE, POINTS
from eval.metrics.labelling import class_figures
from eval.metrics.resampling import BOOTSTRAP_ERROR, image_weights, resampled_score
from eval.results import EvalResult, Origin, Score, Settings
from eval.task_choices import TaskChoices, task_options
from eval.tasks import NOT_OF_CLASSES, TaskFacts, registry
from eval.xmai import judging
from eval.xmai.hypotheses import LABELS, Hypotheses, read_hypotheses
from eval.xmai.judging import Judgements

_SIDES = ("before", "after")
#: Three labels, and a fourth prediction: none of them.
_PREDICTIONS = len(LABELS) + 1


@task_options.register("insertion_entailment")
@dataclass(frozen=True, kw_only=True, slots=True)
class EntailmentOptions:
    """Choices of entailment with inserted attributes.

    Attributes:
        hypotheses: files of perturbed hypotheses, one a method: of ``vlsuite xmai perturb``, or
            CSV with columns label, hypothesis and modified in the order of the data set.
        judge: what decides: "answers" (the model is asked), "matching" (log-odds), "cosine";
            "auto" takes the first of these that the model can do.
        max_tokens: longest answer, in the model's own tokens.
        predictions: JSON lines with row, before and after (labels) of a model that is not of this
            suite; they are scored instead of the model given.
    """

    hypotheses: tuple[str, ...] = ()
    judge: Literal["auto", "answers", "matching", "cosine"] = "auto"
    max_tokens: int = 5
    predictions: str = ""


@registry.register("insertion_entailment")
@dataclass(frozen=True, kw_only=True, slots=True)
class InsertionEntailment:
    """Entailment with inserted attributes (XMAI): accuracy and F1 before, after, and their fall.

    Scores: accuracy, macro_f1 and f1_LABEL, each _before, _after and _drop (before minus after),
    and ``_drop_changed`` on the rows whose text changed.

    Args:
        dataset: with the pictures.
        hypotheses: of one method, joined with the data set.
        options: what decides.
        seed: of the bootstrap and of the half that cut points are fitted on.
    """

    facts: ClassVar[TaskFacts] = TaskFacts(
        rows=PICTURES,
        demands=(),
        options=EntailmentOptions,
        only_for=NOT_OF_CLASSES,
    )

    dataset: EvalDataset
    hypotheses: Hypotheses
    options: EntailmentOptions
    seed: int = 0

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""
        options = choices.of(EntailmentOptions)
        if not options.hypotheses:
            return (
                "insertion_entailment needs perturbed hypotheses: --set "
                "insertion_entailment.hypotheses=FILE (of 'vlsuite xmai perturb', or CSV)"
            )
        if options.max_tokens < 1:
            return "insertion_entailment.max_tokens must be at least 1"
        return None

    @classmethod
    def build_each(cls, dataset: EvalDataset, choices: TaskChoices) -> Sequence[Benchmark]:
        """One benchmark a file.

        Raises:
            EvaluationError: see ``build``; or several files with one file of predictions.
        """
        options = choices.of(EntailmentOptions)
        if len(options.hypotheses) > 1 and options.predictions:
            raise EvaluationError(
                "insertion_entailment.predictions belong to one file of hypotheses; give one"
            )
        each = [replace(options, hypotheses=(path,)) for path in options.hypotheses]
        return tuple(cls.build(dataset, choices.having(own)) for own in each) or (
            cls.build(dataset, choices),
        )

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> "InsertionEntailment":
        """See ``TaskKind``.

        Raises:
            EvaluationError: what ``missing`` says, or a file that does not belong to the data set.
        """
        if (lack := cls.missing(dataset, choices)) is not None:
            raise EvaluationError(lack)
        options = choices.of(EntailmentOptions)
        hypotheses = read_hypotheses(options.hypotheses[0], dataset)
        return cls(dataset=dataset, hypotheses=hypotheses, options=options, seed=choices.seed)

    @property
    def name(self) -> str:
        """Of the task and of the method, which each has its own result."""
        return f"insertion_entailment:{self.hypotheses.method}"

    def settings(self) -> Settings:
        """What the result depends on besides model and data."""
        return {
            "method": self.hypotheses.method,
            "hypotheses": self.hypotheses.digest,
            "judge": self.options.judge,
            "max_tokens": self.options.max_tokens,
            "predictions": self.options.predictions,
            "seed": self.seed,
        }

    def needs(self) -> tuple[Need, ...]:
        """See ``Benchmark``."""
        return () if self.options.predictions else (Need(self.dataset),)

    def model_lacks(self, model: Model) -> str | None:
        """See ``Demanding``."""
        try:
            judging.chosen_judge(model, self.options.judge)
        except EvaluationError as error:
            return str(error)
        return None

    def run(self, model: Any, embedder: Embedder) -> EvalResult:
        """Judge every text before and after, and compare with the labels.

        Raises:
            EvaluationError: the model cannot judge so, or there are too few rows.
        """
        judge, given = self._judged(model, embedder)
        rows, labels = given.rows, self.hypotheses.labels[given.rows]
        images = self.hypotheses.images[rows]
        is_changed = self.hypotheses.is_changed[rows]
        tables = _tables(labels, given, images)
        scores = _scores(tables, "", seed=self.seed)
        if is_changed.any():
            kept = Judgements(rows[is_changed], given.before[is_changed], given.after[is_changed])
            changed = _tables(labels[is_changed], kept, images[is_changed])
            scores |= _scores(changed, "_changed", seed=self.seed)
        name, fingerprint = self.hypotheses.scorer
        remarks: Settings = {
            "judged_by": judge,
            "num_rows": len(self.hypotheses.labels),
            "num_scored": len(rows),
            "num_changed": int(is_changed.sum()),
            "without_label": {side: int((getattr(given, side) < 0).sum()) for side in _SIDES},
            "cut_points": [float(v) if np.isfinite(v) else None for v in given.points or ()],
            "flow": flow_table(labels, given),
            "scorer": name,
            "scorer_is_victim": fingerprint == model.fingerprint if fingerprint else None,
        }
        left_out = self.dataset.left_out(0)
        shares = np.bincount(labels, minlength=len(LABELS)) / len(labels)
        return EvalResult(
            benchmark=self.name,
            family="xmai",
            dataset=self.dataset.name,
            split=self.dataset.split,
            model=model.name if judge != "file" else f"{model.name} (predictions given)",
            scores=scores,
            chance={f"accuracy_{side}": float(shares.max()) for side in _SIDES},
            num_samples=len(np.unique(images)),
            num_skipped=sum(left_out.values()),
            origin=Origin(
                seed=self.seed,
                data_revision=self.dataset.revision,
                interval=f"95% {EFFECTIVE}, {BOOTSTRAP_ERROR} of pictures; drops: paired",
            ),
            details=self.settings() | remarks | self.dataset.remarks(left_out),
        )

    def _judged(self, model: Any, embedder: Embedder) -> tuple[str, Judgements]:
        hypotheses, options = self.hypotheses, self.options
        if options.predictions:
            return "file", judging.read_predictions(options.predictions, len(hypotheses.labels))
        judge = judging.chosen_judge(model, options.judge)
        if judge == "answers":
            given = judging.answered(
                model, embedder, self.dataset, hypotheses, max_tokens=options.max_tokens
            )
            return judge, given
        score = judging.matching_scores if judge == "matching" else judging.cosine_scores
        before, after = score(model, embedder, self.dataset, hypotheses)
        half = judging.fitting_half(self.dataset, hypotheses.images, seed=self.seed)
        return judge, judging.by_scores(before, after, hypotheses, half)


def flow_table(labels: Int64[np.ndarray, " scored"], given: Judgements) -> JsonValue:
    """How many rows of each label went from one prediction to another."""
    names = (*LABELS, "no label")
    flow: dict[str, JsonValue] = {}
    for number, label in enumerate(LABELS):
        own = labels == number
        pairs = zip(given.before[own].tolist(), given.after[own].tolist(), strict=True)
        counts: dict[str, JsonValue] = {}
        for before, after in sorted(pairs):
            key = f"{names[before]} -> {names[after]}"
            counts[key] = int(str(counts.get(key, 0))) + 1
        flow[label] = counts
    return flow


def _tables(
    labels: Int64[np.ndarray, " rows"], given: Judgements, images: Int64[np.ndarray, " rows"]
) -> dict[str, Float64[np.ndarray, "images cells"]]:
    """Confusion counts of each picture, flattened; labels by predictions, "none" last."""
    numbers = np.unique(images, return_inverse=True)[1]
    cells = len(LABELS) * _PREDICTIONS
    tables = {}
    for side in _SIDES:
        predicted = getattr(given, side) % _PREDICTIONS  # -1 becomes the last column
        codes = numbers * cells + labels * _PREDICTIONS + predicted
        counts = np.bincount(codes, minlength=(int(numbers.max()) + 1) * cells)
        tables[side] = counts.reshape(-1, cells).astype(np.float64)
    return tables


def _scores(
    tables: dict[str, Float64[np.ndarray, "images cells"]], suffix: str, *, seed: int
) -> dict[str, Score]:
    """All figures of both sides and their falls, from the same draws."""
    names = ("accuracy", "macro_f1", *(f"f1_{label}" for label in LABELS))
    values = {side: figures_of(table.sum(axis=0)) for side, table in tables.items()}
    drawn: dict[str, list[Float64[np.ndarray, " figures"]]] = {side: [] for side in _SIDES}
    for weights in image_weights(len(tables["before"]), seed=seed):
        for side, table in tables.items():
            drawn[side].append(figures_of(weights @ table))
    spread = {side: np.array(rows) for side, rows in drawn.items()}
    n, pictures = int(tables["before"].sum()), float(len(tables["before"]))
    scores: dict[str, Score] = {}
    for place, name in enumerate(names):
        for side in _SIDES if not suffix else ():
            scores[f"{name}_{side}"] = resampled_score(
                float(values[side][place]), spread[side][:, place], n, units=pictures
            )
        scores[f"{name}_drop{suffix}"] = resampled_score(
            float(values["before"][place] - values["after"][place]),
            spread["before"][:, place] - spread["after"][:, place],
            n,
            units=pictures,
            bounds=POINTS,
            unit="points",
            lower_is_better=True,
        )
    return scores


def figures_of(cells: Float64[np.ndarray, " cells"]) -> Float64[np.ndarray, " figures"]:
    """Accuracy, macro F1 and F1 of each label from flattened counts; "none" is never right."""
    table = np.zeros((_PREDICTIONS, _PREDICTIONS))
    table[: len(LABELS)] = cells.reshape(len(LABELS), _PREDICTIONS)
    f1 = class_figures(table).f1[: len(LABELS)]
    accuracy = np.trace(table) / max(table.sum(), 1)
    return np.array([accuracy, f1.mean(), *f1])
