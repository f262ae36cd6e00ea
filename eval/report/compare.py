"""Models side by side: one HTML page, one JSON file, and a table for the terminal."""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines.shards.atomic import make_folder, write_file
from eval.influence_factors import INFLUENCES, UNKNOWN, differing_settings
from eval.metrics.several_tests import HOLM, LEVEL
from eval.report import compare_figures
from eval.report.build import Plate
from eval.report.class_comparison import compared_classes
from eval.report.clip_costs import remarks_on_clips
from eval.report.compare_text import TextRow, columns_here, scores_text
from eval.report.disagreements import Disagreements, Pictures, disagreements
from eval.report.headlines import place_of
from eval.report.page import render_page
from eval.report.sides import (
    Comparison,
    Controlled,
    Side,
    compare,
    controlled,
    differing,
    excludes_zero,
)
from eval.report.tables import interval, number, score_title, titled
from eval.report.tabulate import benchmark_title
from eval.results import EvalResult, Score
from eval.tasks import facts_named

PAGE, DATA = "compare.html", "compare.json"

#: Fewer points say nothing about how two scores go together.
_LEAST_SCATTERED = 3


class Written(NamedTuple):
    """What was written, and the same as text."""

    text: str
    page: Path
    data: Path


class _Cell(NamedTuple):
    value: str
    interval: str
    difference: str
    is_different: bool
    is_marked: bool


class _Row(NamedTuple):
    title: str
    chance: str
    cells: tuple[_Cell | None, ...]


class _Block(NamedTuple):
    """The scores of one benchmark on one data set."""

    title: str
    dataset: str
    rows: tuple[_Row, ...]


def build_comparison(
    sides: Sequence[Side], out: Path, *, seed: int = 0, pictures: Pictures | None = None
) -> Written:
    """Compare models and write ``compare.html`` and ``compare.json``.

    Args:
        sides: at least two; the first is the one the others are measured against.
        out: folder, made if need be.
        seed: kept with the data; of the pictures that are drawn.
        pictures: of the data sets, where they are at hand: those that models disagree on are
            shown; without them what each model said of such a picture.
    Raises:
        EvaluationError: the models have no result in common.
        DataError: the folder cannot be written.
    """
    comparisons = compare(sides)
    pairs = controlled(sides, comparisons)
    make_folder(out)
    page, data = out / PAGE, out / DATA
    galleries = list(disagreements(sides, pictures or {}, seed=seed))
    write_file(page, _render(sides, comparisons, pairs, galleries).encode())
    write_file(data, _json(sides, comparisons, pairs, seed).encode())
    return Written(_text(sides, comparisons), page, data)


def _render(
    sides: Sequence[Side],
    comparisons: Sequence[Comparison],
    pairs: Sequence[Controlled],
    galleries: Sequence[Disagreements],
) -> str:
    values = dict(
        models=[side.name for side in sides],
        influences=_influences(sides),
        num_pairs=sum(1 for c in comparisons for pair in c.against_first if pair is not None),
        has_unknown=any(UNKNOWN in side.influences.values() for side in sides),
        headlines=[_headline(one) for one in _first_asked(comparisons) if _is_headline(one)],
        settings=differing(sides),
        galleries=galleries,
        lacks_pictures=any(one.image is None for seen in galleries for one in seen.examples),
        class_tables=list(compared_classes(sides)),
        blocks=list(_blocks(comparisons)),
        plates=_plates(sides, comparisons),
        pairs=[_pair_row(pair) for pair in pairs],
        remarks=[
            *(f"{side.name}: {remark}" for side in sides for remark in side.remarks),
            *remarks_on_clips(_all_results(sides)),
        ],
        commands=sorted(
            {str(r.origin.environment.get("command", "")) for s in sides for r in s.results}
        ),
        revisions={
            f"{r.dataset} ({r.split})": r.origin.data_revision for s in sides for r in s.results
        },
    )
    return render_page("eval.report", "compare.html", values)


def _blocks(comparisons: Sequence[Comparison]) -> Iterator[_Block]:
    for (benchmark, dataset, split), group in groupby(comparisons, key=lambda c: c.subject[:3]):
        yield _Block(
            benchmark_title(benchmark),
            f"{dataset} ({split})",
            tuple(_row(comparison) for comparison in group),
        )


def _first_asked(comparisons: Sequence[Comparison]) -> list[Comparison]:
    return sorted(comparisons, key=lambda one: place_of(one.subject.benchmark))


def _is_headline(comparison: Comparison) -> bool:
    """Whether it is the first headline score of its task."""
    return comparison.subject.score in facts_named(comparison.subject.benchmark).headlines[:1]


def _headline(comparison: Comparison) -> _Block:
    subject = comparison.subject
    where = f"{subject.dataset} ({subject.split})"
    return _Block(benchmark_title(subject.benchmark), where, (_row(comparison),))


def _row(comparison: Comparison) -> _Row:
    some = next(score for score in comparison.scores if score is not None)
    chance = comparison.chance
    cells = tuple(_cell(comparison, i) for i in range(len(comparison.scores)))
    shown = "" if chance is None else number(chance, some.unit)
    return _Row(titled(comparison.subject.score, some, comparison.subject.benchmark), shown, cells)


def _cell(comparison: Comparison, i: int) -> _Cell | None:
    score = comparison.scores[i]
    if score is None:
        return None
    pair = comparison.against_first[i]
    difference, is_different = "", False
    if pair is not None:
        difference = _points(pair.difference)
        is_different = excludes_zero(pair.difference)
    return _Cell(
        number(score.value, score.unit),
        interval(score),
        difference,
        is_different,
        comparison.is_marked(i),
    )


def _influences(sides: Sequence[Side]) -> dict[str, list[str]]:
    """Of each model; of the other settings only those that are not the same in all."""
    found = {name: [side.influences[name] for side in sides] for name in INFLUENCES}
    return found | {"other_settings": differing_settings(found["other_settings"])}


def _points(score: Score) -> str:
    if score.unit == "points":
        value, low, high = (f"{100 * v:+.1f}" for v in (score.value, score.low, score.high))
    else:
        value, low, high = (f"{v:+.3g}" for v in (score.value, score.low, score.high))
    return f"{value} ({low} to {high})" if score.has_interval else f"{value} (no interval)"


def _pair_row(pair: Controlled) -> dict[str, Any]:
    return {
        "factor": pair.factor.replace("_", " "),
        "first": pair.first,
        "second": pair.second,
        "benchmark": benchmark_title(pair.subject.benchmark),
        "dataset": f"{pair.subject.dataset} ({pair.subject.split})",
        "score": score_title(pair.subject.score, pair.subject.benchmark),
        "difference": _points(pair.difference.difference),
        "is_different": excludes_zero(pair.difference.difference),
        "p_value": f"{pair.difference.p_value:.2g}",
        "corrected": f"{pair.corrected:.2g}",
        "is_marked": pair.corrected <= LEVEL,
    }


def _plates(sides: Sequence[Side], comparisons: Sequence[Comparison]) -> list[Plate]:
    names = [side.name for side in sides]
    drafts = []
    for benchmark, group in groupby(comparisons, key=lambda c: c.subject.benchmark):
        chosen = [c for c in group if c.subject.score in facts_named(benchmark).headlines]
        if chosen:
            drafts.append(
                (
                    compare_figures.models_figure(names, chosen),
                    benchmark_title(benchmark),
                    "One row a model and one panel a score; whiskers are 95% intervals, the dashed "
                    "line is chance.",
                )
            )
    accuracy = [c for c in comparisons if c.subject[0] == "zero_shot" and c.subject[3] == "top1"]
    others = [
        c
        for c in comparisons
        if c.subject.score in facts_named(c.subject.benchmark).headlines
        and c.subject.benchmark != "zero_shot"
    ]
    if accuracy and others and len(sides) >= _LEAST_SCATTERED:
        sources = [side.influences["training_source"] for side in sides]
        drafts.append(
            (
                compare_figures.against_accuracy_figure(names, sources, accuracy[0], others),
                "Every axis against accuracy",
                f"Horizontal: zero-shot top-1 on {accuracy[0].subject.dataset}. Models of one "
                "training source share a colour; a line of their own would say that the source "
                "matters beyond accuracy.",
            )
        )
    return [Plate(i, *draft) for i, draft in enumerate(drafts, start=1)]


def _json(
    sides: Sequence[Side],
    comparisons: Sequence[Comparison],
    pairs: Sequence[Controlled],
    seed: int,
) -> str:
    data = {
        "models": [{"name": side.name, "influences": side.influences} for side in sides],
        "comparisons": [
            {
                **c.subject._asdict(),
                "chance": c.chance,
                "scores": [s and s.to_dict() for s in c.scores],
                "against_first": [
                    d and {**_difference(d), "corrected_p_value": p}
                    for d, p in zip(c.against_first, c.corrected, strict=True)
                ],
            }
            for c in comparisons
        ],
        "controlled": [
            {
                "factor": p.factor,
                "first": p.first,
                "second": p.second,
                **p.subject._asdict(),
                **_difference(p.difference),
                "corrected_p_value": p.corrected,
            }
            for p in pairs
        ],
        "interval": "95%; paired differences: Newcombe's method 10 with McNemar's exact test, or "
        "gains and losses apart with a sign flip test over images",
        "correction": f"{HOLM}, one family for each model against the first: all its scores; one "
        "factor at a time: all rows of the same two models",
        "seed": seed,
    }
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def _difference(pair: Any) -> dict[str, Any]:
    return {**pair._asdict(), "difference": pair.difference.to_dict()}


def _text(sides: Sequence[Side], comparisons: Sequence[Comparison]) -> str:
    """Headline scores for the terminal; the page has all of them."""
    rows = []
    for c in _first_asked(comparisons):
        headlines = facts_named(c.subject.benchmark).headlines
        if headlines and c.subject.score not in headlines:
            continue
        cells = []
        for i in range(len(c.scores)):
            cell = _cell(c, i)
            mark = _mark(cell)
            paired = f" {cell.difference}" if cell and cell.difference else ""
            cells.append(f"{cell.value}{mark} [{cell.interval}]{paired}" if cell else "-")
        some = next(score for score in c.scores if score is not None)
        where = f"{c.subject.dataset} ({c.subject.split})"
        title = titled(c.subject.score, some, c.subject.benchmark)
        rows.append(TextRow(c.subject.benchmark, where, title, tuple(cells)))
    notes = [
        "[95% interval], then, image by image, the difference from {first} (its interval)",
        f"* differs from {{first}}: p of the paired difference at most {LEVEL:g} after "
        f"{HOLM} for all scores of the model",
        "~ only its own 95% interval excludes 0: of 20 such intervals of equal models one does",
        *remarks_on_clips(_all_results(sides)),
    ]
    return scores_text([side.name for side in sides], rows, notes, columns=columns_here())


def _all_results(sides: Sequence[Side]) -> list[EvalResult]:
    return [result for side in sides for result in side.results]


def _mark(cell: _Cell | None) -> str:
    if cell is None:
        return ""
    if cell.is_marked:
        return "*"
    return "~" if cell.is_different else ""
