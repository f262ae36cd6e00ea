"""Results as text for people: names of scores, numbers with intervals, a table."""

import re
from collections.abc import Sequence
from itertools import islice

from data_pipelines.texts import counted
from eval.report.clip_costs import (
    BASELINE,
    COST_COLUMNS,
    cost_cells,
    cost_note,
    has_costs,
    remarks_on_clips,
)
from eval.report.published_averages import GroupAverage
from eval.results import EvalResult, Score
from eval.tasks import facts_named

#: Scores of one result in the terminal's table; reports show all.
SCORES_SHOWN = 8

# Words of metrics that several tasks have; those of one task are among its facts.
_WORDS = {
    "auroc": "AUROC",
    "aupr": "AUPR",
    "fpr95": "FPR95",
    "f1": "F1",
    "top1": "top-1",
    "top5": "top-5",
}
_TITLES = {"top1": "top-1 accuracy", "top5": "top-5 accuracy"}
_DIRECTIONS = {
    "image_to_text": "image to text",
    "text_to_image": "text to image",
    "text_to_video": "text to video",
    "video_to_text": "video to text",
}
_RECALL = re.compile(r"(\w+)_recall_at_(\d+)(_gain|_by_cosine|_before|_after|_drop|_drop_changed)?")


def score_title(name: str, benchmark: str = "") -> str:
    """What tables call a score: "image to text R@5" for image_to_text_recall_at_5.

    Args:
        benchmark: whose score it is; the task may have words of its own.
    """
    recall = _RECALL.fullmatch(name)
    if recall and recall[1] in _DIRECTIONS:
        return f"{_DIRECTIONS[recall[1]]} R@{recall[2]}{(recall[3] or '').replace('_', ' ')}"
    facts = facts_named(benchmark)
    for pattern, title in {**facts.score_titles, **_TITLES}.items():
        if found := re.fullmatch(pattern, name):
            return found.expand(title).replace("_", " ")
    words = {**_WORDS, **facts.score_words}
    return " ".join(words.get(word, word) for word in name.split("_"))


def titled(name: str, score: Score, benchmark: str = "") -> str:
    """A score's title with its unit, and an arrow where lower is better."""
    sign = unit_sign(score.unit)
    arrow = " (lower is better)" if score.lower_is_better else ""
    return f"{score_title(name, benchmark)}{', ' + sign if sign else ''}{arrow}"


def percent(share: float) -> str:
    """A share as percent with two significant digits below 10 and one decimal above."""
    value = 100 * share
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def number(value: float, unit: str) -> str:
    """A value in the unit of its score: shares and points as percent, others with 4 digits.

    Nats have 4 decimals: at 0.02 nats as at 12, a difference between models is in the third.
    """
    if unit == "share":
        return percent(value)
    if unit == "points":
        return f"{100 * value:+.2f}"
    if unit == "nats":
        return f"{value:.4f}"
    return f"{value:.4g}"


def unit_sign(unit: str) -> str:
    """What stands behind a number of this unit in a heading."""
    return {"share": "%", "points": "points", "nats": "nats"}.get(unit, "")


def interval(score: Score) -> str:
    """The 95% interval in the unit of the score: "41.2 to 43.9"; "none" where there is none."""
    if not score.has_interval:
        return "none"
    return f"{number(score.low, score.unit)} to {number(score.high, score.unit)}"


def times_chance(result: EvalResult, name: str) -> str:
    """A score as a multiple of chance, a dash where there is no chance level."""
    multiple = result.times_chance(name)
    if multiple is None:
        return "-"
    return f"{multiple:.1f}" if multiple < 100 else f"{multiple:,.0f}"


def result_table(results: Sequence[EvalResult]) -> str:
    """The first scores of each result, headlines among them, as plain text; shares in percent.

    Where results know what a clip costs, three columns say so beside the first score of the model
    and of its baseline.
    """
    header = ("data set", "split", "task", "score", "", "95% interval", "chance %", "x chance", "n")
    with_costs = has_costs(results)
    rows: list[tuple[str, ...]] = [(*header, *COST_COLUMNS) if with_costs else header]
    for result in results:
        told: set[bool] = set()
        for name, score in _shown(result):
            is_baseline = name.startswith(BASELINE)
            costs = () if is_baseline in told else cost_cells(result, is_baseline=is_baseline)
            told.add(is_baseline)
            chance = result.chance.get(name)
            rows.append(
                (
                    result.dataset,
                    result.split,
                    result.benchmark.replace("_", " "),
                    titled(name, score, result.benchmark),
                    number(score.value, score.unit),
                    interval(score),
                    "-" if chance is None else percent(chance),
                    times_chance(result, name),
                    f"{score.n:,}",
                    *((costs or ("",) * len(COST_COLUMNS)) if with_costs else ()),
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    num_text_columns = 4
    lines = [
        "  ".join(
            cell.ljust(width) if column < num_text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, *_remarks(results)])


def _shown(result: EvalResult) -> list[tuple[str, Score]]:
    """Headlines come first only where they would not be shown otherwise."""
    names = list(result.scores)
    if not set(facts_named(result.benchmark).headlines) & set(names[SCORES_SHOWN:]):
        return list(islice(result.scores.items(), SCORES_SHOWN))
    first = [name for name in facts_named(result.benchmark).headlines if name in result.scores]
    chosen = [*first, *(name for name in names if name not in first)][:SCORES_SHOWN]
    return [(name, result.scores[name]) for name in chosen]


def average_lines(averages: Sequence[GroupAverage]) -> list[str]:
    """One line for each average over two data sets at least."""
    return [
        f"{one.name}: {percent(one.value)} % ({percent(one.low)} to {percent(one.high)})"
        for one in averages
        if one.num_sets > 1
    ]


def _remarks(results: Sequence[EvalResult]) -> list[str]:
    longer = sum(max(0, len(result.scores) - SCORES_SHOWN) for result in results)
    lines = []
    if longer:
        lines.append(f"{longer:,} more scores are in the result files and in 'vlsuite report'")
    for result in results:
        where = f"{result.dataset} ({result.split}), {result.benchmark}"
        if result.num_skipped:
            count = counted(result.num_skipped, "sample")
            lines.append(f"{where}: {count} left out: {_left_out(result)}")
        repeats = result.details.get("num_repeated_captions")
        if isinstance(repeats, int) and repeats:
            lines.append(
                f"{where}: {counted(repeats, 'caption repeats', 'captions repeat')} an earlier "
                "one; another image's equal caption counts as a miss"
            )
    return [*lines, *remarks_on_clips(results), *cost_note(results)]


def _left_out(result: EvalResult) -> str:
    reasons = result.details.get("left_out")
    if not isinstance(reasons, dict):
        return "reason not recorded"
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
