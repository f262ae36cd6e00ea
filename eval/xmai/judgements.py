"""What people said about perturbed captions on the page, with intervals and their agreement."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from data_pipelines.bounded_json import read_json
from eval.errors import EvaluationError
from eval.metrics.agreement import cohen_kappa
from eval.metrics.intervals import cluster_bootstrap_score, wilson_score
from eval.results import Score

FORMAT = "vlsuite-judgements-1"

Question = Literal["natural", "true"]

QUESTIONS: dict[Question, tuple[str, ...]] = {
    "natural": ("no", "yes"),
    "true": ("no", "yes", "unsure"),
}


class Judged(NamedTuple):
    """The answers of one person: of each caption id and method, one to each question or none."""

    judge: str
    answers: dict[tuple[str, str], dict[Question, str]]


class Agreement(NamedTuple):
    """Two judges on one question; ``kappa`` is None where it is not defined."""

    first: str
    second: str
    question: Question
    num_common: int
    kappa: Score | None


class Summary(NamedTuple):
    """Share of "yes" by method and question, and the agreement of each pair of judges."""

    shares: dict[tuple[str, Question], Score]
    agreements: list[Agreement]


def read_judgements(path: Path) -> Judged:
    """One saved file.

    Raises:
        EvaluationError: unreadable, or not saved by the page.
    """
    try:
        content = read_json(path)
        if content["format"] != FORMAT:
            raise ValueError(f"format is {content['format']!r}, not {FORMAT!r}")
        answers = {}
        for row in content["answers"]:
            own: dict[Question, str] = {n: str(row[n]) for n in QUESTIONS if n in row}
            for name, answer in own.items():
                if answer not in QUESTIONS[name]:
                    raise ValueError(f"{answer!r} is no answer to '{name}'")
            answers[str(row["id"]), str(row["method"])] = own
        return Judged(str(content["judge"]), answers)
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise EvaluationError(
            f"{path} is no file of judgements ({error}); save it from the page of "
            "'vlsuite xmai page'"
        ) from error


def summarise(judged: Sequence[Judged], *, seed: int = 0) -> Summary:
    """Shares of "yes" and Cohen's kappa of every pair of judges.

    "unsure" counts as not true. With one judge the interval is Wilson's, with several captions are
    drawn together with all their answers.

    Raises:
        EvaluationError: two files carry the same judge's name, or nobody answered anything.
    """
    names = [own.judge for own in judged]
    if len(set(names)) < len(names):
        raise EvaluationError("two files of judgements are by the same judge; give each once")
    shares: dict[tuple[str, Question], Score] = {}
    for question in QUESTIONS:
        found = _answers(judged, question)
        for method in sorted({method for _, method, _ in found}):
            own = [(caption, answer) for caption, name, answer in found if name == method]
            shares[method, question] = _share(own, seed=seed)
    if not shares:
        raise EvaluationError("nobody has judged anything yet; answer on the page and save")
    pairs = [
        _agreement(one, other, question, seed=seed)
        for one, other in combinations(judged, 2)
        for question in QUESTIONS
    ]
    return Summary(shares, pairs)


def _answers(judged: Sequence[Judged], question: Question) -> list[tuple[str, str, str]]:
    return [
        (caption, method, own[question])
        for one in judged
        for (caption, method), own in one.answers.items()
        if question in own
    ]


def _share(answers: list[tuple[str, str]], *, seed: int) -> Score:
    is_yes = np.array([answer == "yes" for _, answer in answers], dtype=bool)
    numbers: dict[str, int] = {}
    captions = np.array([numbers.setdefault(c, len(numbers)) for c, _ in answers], dtype=np.int64)
    if len(numbers) == len(answers):
        return wilson_score(is_yes)
    return cluster_bootstrap_score(is_yes, captions, seed=seed)


def _agreement(one: Judged, other: Judged, question: Question, *, seed: int) -> Agreement:
    both = [
        (one.answers[key][question], other.answers[key][question])
        for key in sorted(one.answers.keys() & other.answers.keys())
        if question in one.answers[key] and question in other.answers[key]
    ]
    known = QUESTIONS[question]
    numbers = np.array([[known.index(a), known.index(b)] for a, b in both], dtype=np.int64)
    first, second = numbers.reshape(-1, 2).T
    kappa = cohen_kappa(first, second, num_answers=len(known), seed=seed)
    return Agreement(one.judge, other.judge, question, len(both), kappa)
