"""A run as one HTML page that needs nothing else: no network, no scripts, no other file."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder, write_file
from eval.class_answers import of_details
from eval.errors import EvaluationError
from eval.progress import duration
from eval.report import axis_figures, detection_figures, figures, video_figures
from eval.report.class_tables import class_tables, confusion_figure
from eval.report.clip_costs import frames_of, remarks_on_clips
from eval.report.figures import Picture, shifted_scores
from eval.report.headlines import headlines
from eval.report.page import render_page
from eval.report.record import EvalPoint, RunRecord, TrainCurves, read_run, settings_of
from eval.report.tabulate import benchmark_title, result_tables
from eval.results import EvalResult, Example
from eval.tasks import facts_named

#: Benchmarks whose headlines are drawn with one row a data set.
_OVERVIEWS = ("retrieval", "zero_shot")

EXAMPLES_SHOWN = 6

_DIRECTIONS = {
    "image_to_text": "Captions ranked for an image",
    "text_to_image": "Images ranked for a caption",
    "image_to_class": "Classes ranked for an image",
    "detection_missed": "Missed: marked regions that were not found, the largest first",
    "detection_misnamed": "Misnamed: found under another name, the surest first",
    "detection_made_up": "Made up: found where nothing is marked, the surest first",
    "text_to_video": "Videos ranked for a caption, best and worst in turn",
}


class Plate(NamedTuple):
    """A numbered figure with its caption."""

    number: int
    picture: Picture
    title: str
    caption: str


class Gallery(NamedTuple):
    """Examples of one direction on one data set."""

    title: str
    direction: str
    examples: tuple[Example, ...]


def build_report(run_dir: Path, out: Path | None = None) -> Path:
    """Write the report of a run folder.

    Args:
        run_dir: what ``vlsuite train`` wrote, or a folder of result files.
        out: the page; None means ``report.html`` in the folder.
    Returns:
        Where the page is.
    Raises:
        EvaluationError: nothing to report.
        DataError: the page cannot be written.
    """
    record = read_run(run_dir)
    target = out or run_dir / "report.html"
    if target.is_dir():
        raise EvaluationError(f"{target} is a folder; give the page a file name with --out")
    make_folder(target.parent)
    write_file(target, render(record).encode())
    return target


def render(record: RunRecord) -> str:
    """The page as text; equal records give equal pages."""
    plates = _numbered(record)
    values = dict(
        record=record,
        facts=_facts(record),
        tables=result_tables(record.results),
        result_plates=plates["results"],
        headlines=list(headlines(record.results)),
        class_tables=list(class_tables(record.results)),
        training_plates=plates["training"],
        galleries=list(_galleries(record.results)),
        command=_text(record.environment.get("command")),
        versions=_versions(record.environment),
        settings=settings_of(record.config),
        revisions={f"{r.dataset} ({r.split})": r.origin.data_revision for r in record.results},
        remarks=[*record.remarks, *remarks_on_clips(record.results)],
    )
    return render_page("eval.report", "report.html", values)


def _numbered(record: RunRecord) -> dict[str, list[Plate]]:
    """Plates of each section; numbers run through the page."""
    drafts = {
        "results": [
            *_overviews(record.results),
            *_confusions(record.results),
            *_shifts(record.results),
            *_reliability(record.results),
            *_corruptions(record.results),
            *_orders(record.results),
            *_detections(record.results),
            *_costs(record.results),
        ],
        "training": [*_curves(record.train), *_evaluations(record.evals)],
    }
    plates: dict[str, list[Plate]] = {}
    number = 0
    for section, entries in drafts.items():
        plates[section] = []
        for picture, title, caption in entries:
            number += 1
            plates[section].append(Plate(number, picture, title, caption))
    return plates


Draft = tuple[Picture, str, str]


def _overviews(results: Sequence[EvalResult]) -> Iterator[Draft]:
    for model in dict.fromkeys(result.model for result in results):
        for benchmark in _OVERVIEWS:
            scores = facts_named(benchmark).headlines
            chosen = [r for r in results if (r.model, r.benchmark) == (model, benchmark)]
            if len(chosen) > 1:
                yield (
                    figures.overview_figure(chosen, scores),
                    f"{benchmark_title(benchmark)} on all test sets",
                    f"{model}: share of queries answered, with 95% intervals; the black tick is "
                    "chance, computed exactly for the size of each gallery, so compare distances "
                    "to the tick rather than heights when galleries differ in size.",
                )


def _shifts(results: Sequence[EvalResult]) -> Iterator[Draft]:
    """Each shifted data set beside the one it is a shifted form of."""
    for shifted in results:
        name = shifted.details.get("shift_of")
        for base in results:
            same = (base.model, base.benchmark) == (shifted.model, shifted.benchmark)
            is_base = base.dataset == name or (
                base.split == name and base.dataset == shifted.dataset
            )
            if name and same and is_base and base is not shifted and shifted_scores(base, shifted):
                yield (
                    figures.shift_figure(base, shifted),
                    f"Distribution shift: {base.dataset} to {shifted.dataset}",
                    f"{shifted.model} on {base.dataset} ({base.num_samples:,} images) and on its "
                    f"shifted form {shifted.dataset} ({shifted.num_samples:,} images). Whiskers: "
                    f"{shifted.origin.interval}. Dashed: chance.",
                )


def _confusions(results: Sequence[EvalResult]) -> Iterator[Draft]:
    for result in results:
        answers = of_details(result.details)
        picture = None if answers is None else confusion_figure(answers)
        if picture is not None:
            yield (
                picture,
                f"What is taken for what: {result.dataset} ({result.split})",
                f"{result.model}, {result.num_samples:,} images: of the images of each class "
                "(rows), the share that was given each name (columns); right answers lie on the "
                "diagonal.",
            )


def _reliability(results: Sequence[EvalResult]) -> Iterator[Draft]:
    for result in results:
        diagrams = result.details.get("reliability")
        if result.benchmark == "calibration" and isinstance(diagrams, dict):
            yield (
                axis_figures.reliability_figure(diagrams),
                f"Reliability on {result.dataset}",
                f"{result.model}, {result.num_samples:,} held-out images: accuracy in each of 15 "
                "bins of confidence, as it is and after temperature scaling; a calibrated model "
                "lies on the diagonal. Gray bars: share of the images in each bin.",
            )


def _corruptions(results: Sequence[EvalResult]) -> Iterator[Draft]:
    for result in results:
        accuracy = result.details.get("accuracy")
        if result.benchmark in ("corruptions", "corruption_files") and isinstance(accuracy, dict):
            yield (
                axis_figures.corruption_figure(accuracy),
                f"{benchmark_title(result.benchmark)}: {result.dataset}",
                f"{result.model}: top-1 accuracy in percent for each corruption (rows) at each "
                f"severity (columns). {_text(result.details.get('note'))}.",
            )


def _orders(results: Sequence[EvalResult]) -> Iterator[Draft]:
    """Questions about the order of frames, all numbers of frames in one figure."""
    own = [result for result in results if result.benchmark.partition(":")[0] == "video_order"]
    for key in dict.fromkeys((r.model, r.dataset, r.split) for r in own):
        group = [r for r in own if (r.model, r.dataset, r.split) == key]
        group.sort(key=frames_of)
        yield (
            video_figures.order_figure(group),
            f"Order in videos: {key[1]} ({key[2]})",
            f"{key[0]}: questions answered by kind and number of frames, with 95% intervals. "
            "Hollow marks: the mean-pooled image tower, which is blind to order. Black ticks: "
            "chance.",
        )


def _costs(results: Sequence[EvalResult]) -> Iterator[Draft]:
    """The headline of each task on videos against what a clip costs, where there are several."""
    own = [result for result in results if result.family == "video"]
    for key in dict.fromkeys((r.benchmark.partition(":")[0], r.dataset, r.split) for r in own):
        task, dataset, split = key
        group = [r for r in own if (r.benchmark.partition(":")[0], r.dataset, r.split) == key]
        headlines = facts_named(task).headlines
        score = next((name for name in headlines if any(name in r.scores for r in group)), "")
        curves = video_figures.curves_of(group, score)
        if max((len(p) for curve in curves for p in curve.by_axis.values()), default=0) < 2:
            continue
        yield (
            video_figures.cost_figure(group, score),
            f"{benchmark_title(task)}: what accuracy costs on {dataset} ({split})",
            "A line a model, a mark an evaluation that differs in frames or token reduction alone "
            "(8f: 8 frames; time/4, side/2: tokens pooled over frames, over the sides of cells); "
            "whiskers are 95% intervals. Left: visual tokens that are left of a clip. Right: "
            "seconds of the model for a clip, the median over batches, decoding not counted; they "
            "depend on the machine. Hollow: the mean-pooled image tower.",
        )


def _detections(results: Sequence[EvalResult]) -> Iterator[Draft]:
    for result in filter(detection_figures.has_curves, results):
        yield (
            detection_figures.curves_figure(result),
            f"Precision and recall: {result.dataset} ({result.split})",
            f"{result.model}, {result.num_samples:,} pictures: highest precision at each recall or "
            "beyond, mean over the classes of each group; AP is the area below, averaged over "
            "overlaps from 0.5 to 0.95.",
        )


def _curves(train: TrainCurves) -> Iterator[Draft]:
    if not train:
        return
    count = len(train["step"])
    grouping = (
        f"{count:,} records, drawn as means of {figures.POINTS_SHOWN} groups; the shaded band "
        "spans the lowest and highest value of each group."
        if count > figures.POINTS_SHOWN
        else f"{count:,} records."
    )
    smoothing = f" {figures.SMOOTHING_NOTE}" if count >= figures.LEAST_SMOOTHED else ""
    cut = (
        " The last record covers less than half as many samples as the others, and is left out."
        if figures.is_last_cut_short(train)
        else ""
    )
    yield (
        figures.training_figure(train),
        "Training curves",
        "Loss is that of the global batch. Speed is samples over wall-clock time since the record "
        f"before, data loading included. {grouping}{smoothing}{cut}",
    )


def _evaluations(evals: Sequence[EvalPoint]) -> Iterator[Draft]:
    present = {name for point in evals for result in point.results for name in result.scores}
    names = (name for benchmark in _OVERVIEWS for name in facts_named(benchmark).headlines)
    scores = [name for name in names if name in present]
    if len(evals) > 1 and scores:
        yield (
            figures.evaluation_figure(evals, scores),
            "Evaluation during training",
            "The same evaluations as in the tables, run between steps. Bands: 95% intervals. "
            "Dotted: chance.",
        )


def _galleries(results: Sequence[EvalResult]) -> Iterator[Gallery]:
    for result in results:
        for direction, title in _DIRECTIONS.items():
            chosen = tuple(e for e in result.examples if e.direction == direction)
            if chosen:
                yield Gallery(f"{title}: {result.dataset}", direction, chosen[:EXAMPLES_SHOWN])


def _facts(record: RunRecord) -> dict[str, str]:
    """What a reader wants to know first; unknown facts are left out."""
    environment, train = record.environment, record.train
    facts = {
        "Recipe": _text(record.config.get("recipe")),
        "Model": ", ".join(dict.fromkeys(result.model for result in record.results)),
        "Started": _text(environment.get("started"))[:16].replace("T", " "),
        "Commit": _text(environment.get("commit")),
        "Seed": _text(environment.get("seed")),
    }
    if train:
        speed = float(np.nanmedian(train["samples_per_s"]))
        seen = float(np.nanmax(train["samples_seen"]))
        facts["Trained"] = f"{seen:,.0f} samples in {train['step'][-1]:,.0f} steps"
        last = -2 if figures.is_last_cut_short(train) else -1
        facts["Last loss"] = _number(float(train["loss"][last]))
        facts["Median speed"] = f"{_number(speed)} samples/s"
        facts["Data wait"] = f"{100 * float(np.nanmean(train['data_wait_share'])):.1f} % of time"
        facts["Time in steps"] = duration(_seconds(train))
    facts["Hardware"] = _text(environment.get("hardware"))
    return {name: text for name, text in facts.items() if text}


def _seconds(train: TrainCurves) -> float:
    """Time spent training, from samples and speed of each interval; pauses do not count."""
    samples = np.diff(train["samples_seen"], prepend=0)
    return float(np.nansum(samples / train["samples_per_s"]))


def _versions(environment: dict[str, JsonValue]) -> dict[str, str]:
    versions = environment.get("versions")
    return {k: _text(v) for k, v in versions.items()} if isinstance(versions, dict) else {}


def _text(value: JsonValue) -> str:
    return "" if value is None else str(value)


def _number(value: float) -> str:
    return f"{value:,.4g}" if math.isfinite(value) else ""
