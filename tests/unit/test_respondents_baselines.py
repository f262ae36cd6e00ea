"""Baselines answer by their rule, whatever else is asked."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.support.omni_questions import write_github_form
from eval.errors import EvaluationError
from eval.omnibench.read_questions import read_questions
from eval.respondents.baselines import NAMES, baseline
from eval.respondents.contract import Respondent
from eval.respondents.question import SETTINGS, OmniQuestion, prompted


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> tuple[OmniQuestion, ...]:
    folder: Path = tmp_path_factory.mktemp("baselines")
    return read_questions(write_github_form(folder, 12)).questions


def letters(name: str, questions: tuple[OmniQuestion, ...], seed: int = 0) -> list[str | None]:
    asked = [prompted(q, s) for s in SETTINGS.values() for q in questions]
    return [r.text for r in baseline(name, questions, seed=seed).respond(asked)]


def test_random_depends_on_question_setting_and_seed_alone(
    questions: tuple[OmniQuestion, ...],
) -> None:
    drawn = letters("random", questions)
    assert drawn == letters("random", questions)
    assert drawn != letters("random", questions, seed=1)
    half = letters("random", questions[::2])
    assert half == [letter for at, letter in enumerate(drawn) if at % 12 % 2 == 0]
    many = tuple(replace(questions[0], index=index) for index in range(250))
    all_drawn = letters("random", many)
    counts = [all_drawn.count(letter) for letter in "ABCD"]
    assert sum(counts) == 2000
    # five standard deviations of a fair draw
    assert all(abs(count - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5 for count in counts)


def test_rules(questions: tuple[OmniQuestion, ...]) -> None:
    fixed = [replace(q, answer=(2, 1, 2)[n % 3]) for n, q in enumerate(questions)]
    assert set(letters("majority", tuple(fixed))) == {"C"}
    options = ("short", "the longest one", "equally long ..", "mid")
    longest = tuple(replace(q, options=options) for q in questions)
    assert set(letters("longest", longest)) == {"B"}
    assert set(letters("echo", longest)) == {"short"}


def test_they_are_respondents_with_fingerprints_of_their_own(
    questions: tuple[OmniQuestion, ...],
) -> None:
    models = [baseline(name, questions) for name in NAMES]
    assert all(isinstance(model, Respondent) for model in models)
    assert len({model.fingerprint for model in models}) == len(NAMES)
    seeded = baseline("random", questions, seed=1)
    assert seeded.fingerprint != models[0].fingerprint
    with pytest.raises(EvaluationError, match="choose from random"):
        baseline("guess", questions)
