"""Results as text for people: names of scores, numbers with intervals, a table."""

import re
from collections.abc import Sequence

from eval.results import EvalResult, Score

_TITLES = {
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "mean_per_class_recall": "mean per-class recall",
}
_DIRECTIONS = {"image_to_text": "image to text", "text_to_image": "text to image"}


def score_title(name: str) -> str:
    """What tables call a score: "image to text R@5" for image_to_text_recall_at_5."""
    recall = re.fullmatch(r"(\w+)_recall_at_(\d+)", name)
    if recall and recall[1] in _DIRECTIONS:
        return f"{_DIRECTIONS[recall[1]]} R@{recall[2]}"
    return _TITLES.get(name, name.replace("_", " "))


def percent(share: float) -> str:
    """A share as percent with two significant digits below 10 and one decimal above."""
    value = 100 * share
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def interval(score: Score) -> str:
    """The 95% interval in percent: "41.2 to 43.9"."""
    return f"{percent(score.low)} to {percent(score.high)}"


def times_chance(result: EvalResult, name: str) -> str:
    """A score as a multiple of chance, a dash where there is no chance level."""
    multiple = result.times_chance(name)
    if multiple is None:
        return "-"
    return f"{multiple:.1f}" if multiple < 100 else f"{multiple:,.0f}"


def result_table(results: Sequence[EvalResult]) -> str:
    """All scores as a plain-text table; shares in percent."""
    header = ("data set", "split", "score", "%", "95% interval", "chance %", "x chance", "n")
    rows: list[tuple[str, ...]] = [header]
    for result in results:
        for name, score in result.scores.items():
            chance = result.chance.get(name)
            rows.append(
                (
                    result.dataset,
                    result.split,
                    score_title(name),
                    percent(score.value),
                    interval(score),
                    "-" if chance is None else percent(chance),
                    times_chance(result, name),
                    f"{score.n:,}",
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    num_text_columns = 3
    lines = [
        "  ".join(
            cell.ljust(width) if column < num_text_columns else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, *_remarks(results)])


def _remarks(results: Sequence[EvalResult]) -> list[str]:
    return [
        f"{result.dataset} ({result.split}), {result.benchmark}: {result.num_skipped:,} samples "
        f"left out: {_left_out(result)}"
        for result in results
        if result.num_skipped
    ]


def _left_out(result: EvalResult) -> str:
    reasons = result.details.get("left_out")
    if not isinstance(reasons, dict):
        return "reason not recorded"
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
