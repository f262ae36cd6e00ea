"""Results arranged for the tables of a report."""

from collections.abc import Sequence
from typing import NamedTuple

from data_pipelines.texts import counted
from eval.report.clip_costs import described
from eval.report.tables import interval, number, percent, times_chance, titled
from eval.results import EvalResult, Score
from eval.tasks import facts_named


class Cell(NamedTuple):
    """One score: all texts, ready to print."""

    value: str
    interval: str
    chance: str
    times_chance: str
    trials: str


class Row(NamedTuple):
    """One result; a score that it lacks has None."""

    dataset: str
    split: str
    num_samples: str
    num_skipped: int
    remark: str
    cells: tuple[Cell | None, ...]


class Table(NamedTuple):
    """Results of one model in one benchmark; ``samples`` is the word for what was shown."""

    model: str
    benchmark: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    intervals: str
    samples: str


def benchmark_title(name: str) -> str:
    """What reports call a benchmark."""
    return facts_named(name).title or name.replace("_", " ").capitalize()


def result_tables(results: Sequence[EvalResult]) -> list[Table]:
    """One table for each model and benchmark, one row a data set, one column a score."""
    groups: dict[tuple[str, str], list[EvalResult]] = {}
    for result in results:
        groups.setdefault((result.model, result.benchmark), []).append(result)
    return [_table(model, name, group) for (model, name), group in groups.items()]


def _table(model: str, benchmark: str, results: list[EvalResult]) -> Table:
    scores = list(dict.fromkeys(name for result in results for name in result.scores))
    return Table(
        model=model,
        benchmark=benchmark,
        title=benchmark_title(benchmark),
        columns=tuple(titled(name, _first(results, name), benchmark) for name in scores),
        rows=tuple(_row(result, scores) for result in results),
        intervals=_intervals(results),
        samples="videos" if results[0].family == "video" else "images",
    )


def _first(results: list[EvalResult], name: str) -> Score:
    return next(result.scores[name] for result in results if name in result.scores)


def _row(result: EvalResult, scores: Sequence[str]) -> Row:
    return Row(
        dataset=result.dataset,
        split=result.split,
        num_samples=f"{result.num_samples:,}",
        num_skipped=result.num_skipped,
        remark=_remark(result),
        cells=tuple(_cell(result, name) for name in scores),
    )


def _cell(result: EvalResult, name: str) -> Cell | None:
    score = result.scores.get(name)
    if score is None:
        return None
    level = result.chance.get(name)
    return Cell(
        value=number(score.value, score.unit),
        interval=interval(score),
        chance="" if level is None else percent(level),
        times_chance="" if level is None else times_chance(result, name),
        trials=f"{score.n:,}",
    )


def _intervals(results: Sequence[EvalResult]) -> str:
    """How intervals were computed, by data set where that differs."""
    by_method: dict[str, list[str]] = {}
    for result in results:
        by_method.setdefault(result.origin.interval, []).append(result.dataset)
    if len(by_method) == 1:
        return next(iter(by_method))
    return ". ".join(f"{', '.join(names)}: {method}" for method, names in by_method.items())


def _remark(result: EvalResult) -> str:
    details = result.details
    captions, classes, templates = (
        details.get(key) for key in ("num_captions", "num_classes", "templates")
    )
    parts = []
    if isinstance(captions, int):
        parts.append(counted(captions, "caption"))
    if isinstance(classes, int):
        parts.append(counted(classes, "class", "classes"))
    if isinstance(templates, list):
        parts.append(f"{counted(len(templates), 'prompt')} a class")
    return ", ".join([*parts, *described(result)])
