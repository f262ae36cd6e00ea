"""What dashboards show of the evaluations inside a run: every score by data set, and examples."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

#: Group of the scores on dashboards, and of the lower and upper ends of their intervals.
SCORES, LOWER, UPPER = "eval", "eval_low", "eval_high"
#: Group of the pictures.
EXAMPLES = "examples"

_SLASH = re.compile(r"[/\\]+")


class ValidationScore(NamedTuple):
    """One score of one data set.

    Attributes:
        dataset: its name; with split or number where names alone would not tell sets apart.
        name: "BENCHMARK/SCORE".
        low, high: ends of the 95% interval; None where there is none.
    """

    dataset: str
    name: str
    value: float
    low: float | None
    high: float | None

    @property
    def tag(self) -> str:
        """Path below the groups."""
        return f"{self.dataset}/{self.name}"

    @property
    def numbers(self) -> dict[str, float]:
        """The score and the ends of its interval, by full path."""
        ends = {LOWER: self.low, UPPER: self.high}
        found = {f"{SCORES}/{self.tag}": self.value}
        return found | {f"{k}/{self.tag}": end for k, end in ends.items() if end is not None}


class ValidationExample(NamedTuple):
    """One example of one data set.

    Attributes:
        tag: path of all examples of a direction: "examples/DATASET/BENCHMARK/DIRECTION".
        number: among them, from 1 on; where queries are drawn, the same one in every round.
        example: ``eval.results.Example``, JSON-ready.
    """

    tag: str
    number: int
    example: Mapping[str, Any]


def scores_of(results: Sequence[Mapping[str, Any]]) -> list[ValidationScore]:
    """All scores of one round of evaluations, in order.

    Args:
        results: ``eval.results.EvalResult`` objects, JSON-ready.
    """
    return [
        ValidationScore(name, f"{_part(result['benchmark'])}/{_part(score)}", own["value"],
                        own.get("low"), own.get("high"))
        for name, result in zip(_names(results), results, strict=True)
        for score, own in result.get("scores", {}).items()
        if isinstance(own.get("value"), int | float)
    ]  # fmt: skip


def examples_of(results: Sequence[Mapping[str, Any]]) -> list[ValidationExample]:
    """All examples of one round of evaluations, in order."""
    found: list[ValidationExample] = []
    for name, result in zip(_names(results), results, strict=True):
        numbers: Counter[str] = Counter()
        for example in result.get("examples", ()):
            direction = str(example["direction"])
            numbers[direction] += 1
            tag = "/".join((EXAMPLES, name, _part(result["benchmark"]), _part(direction)))
            found.append(ValidationExample(tag, numbers[direction], example))
    return found


def without_examples(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The results as logs of lines keep them: pictures would make these large."""
    return [{**result, "examples": []} for result in results]


def _names(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name of the data set of each result, so that no benchmark has one twice."""
    splits: dict[str, set[str]] = {}
    for result in results:
        splits.setdefault(result["dataset"], set()).add(result.get("split", ""))
    names: list[str] = []
    taken: Counter[tuple[str, str]] = Counter()
    for result in results:
        dataset, split = result["dataset"], result.get("split", "")
        name = _part(dataset if len(splits[dataset]) == 1 else f"{dataset} {split}".strip())
        taken[name, result["benchmark"]] += 1
        count = taken[name, result["benchmark"]]
        names.append(name if count == 1 else f"{name} ({count})")
    return names


def _part(text: str) -> str:
    """Text as one part of a path."""
    return _SLASH.sub("-", text).strip() or "-"
