"""What a reader wants first: the main score of every task on every data set."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from eval.report.figures import dataset_label
from eval.report.tables import interval, number, percent, titled
from eval.report.tabulate import benchmark_title
from eval.results import EvalResult
from eval.tasks import facts_named

_FIRST = ("zero_shot", "retrieval")


class Headline(NamedTuple):
    """One score: all texts, ready to print; chance is empty where a score has no such level."""

    model: str
    task: str
    dataset: str
    score: str
    value: str
    interval: str
    chance: str
    trials: str


def headlines(results: Sequence[EvalResult]) -> Iterator[Headline]:
    """The first headline score that each result has; of a task without headlines its first.

    What most people ask first comes first: zero-shot classification and retrieval.
    """
    for result in sorted(results, key=lambda one: place_of(one.benchmark)):
        names = [name for name in facts_named(result.benchmark).headlines if name in result.scores]
        name = next(iter(names or result.scores), None)
        if name is None:
            continue
        score, chance = result.scores[name], result.chance.get(name)
        yield Headline(
            result.model,
            benchmark_title(result.benchmark),
            dataset_label(result),
            titled(name, score, result.benchmark),
            number(score.value, score.unit),
            interval(score),
            "" if chance is None else percent(chance),
            f"{score.n:,}",
        )


def place_of(benchmark: str) -> int:
    """Where a task stands among headlines."""
    return _FIRST.index(benchmark) if benchmark in _FIRST else len(_FIRST)
