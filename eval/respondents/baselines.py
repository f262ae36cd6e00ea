"""Models that look at nothing: what a guess is worth, and whether the pipeline runs."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eval.errors import EvaluationError
from eval.respondents.question import LETTERS, OmniQuestion, Prompted
from eval.respondents.response import Response
from vlsuite.models.opening import openers

if TYPE_CHECKING:
    import torch

NAMES = ("random", "majority", "longest", "echo")

#: Kind of model in names: "baseline:random".
KIND = "baseline"


@dataclass(frozen=True, slots=True)
class Baseline:
    """Answers every question by one rule.

    Args:
        name: of the rule.
        fingerprint: SHA-256 over the rule and its parameters.
        answer: what it writes.
    """

    name: str
    fingerprint: str
    answer: Callable[[Prompted], str]

    def respond(self, questions: Sequence[Prompted]) -> Iterator[Response]:
        """See ``Respondent``."""
        for question in questions:
            yield Response(
                index=question.index, setting=question.setting, text=self.answer(question)
            )


@dataclass(frozen=True, slots=True)
class Rule:
    """A baseline before it knows the questions; satisfies ``KnowsQuestions``.

    Args:
        name: see ``baseline``.
        seed: of "random".
        device: where processes of one evaluation exchange what they have.
    """

    name: str
    seed: int
    device: "torch.device | str" = "cpu"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the rule and its seed; not over the answers that "majority" counts."""
        return hashlib.sha256(f"rule\0{self.name}\0{self.seed}".encode()).hexdigest()

    def about(self, questions: Sequence[OmniQuestion]) -> Baseline:
        """See ``KnowsQuestions``."""
        return baseline(self.name, questions, seed=self.seed)


@openers.register("baseline")
@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSettings:
    """Choices about a baseline.

    Attributes:
        seed: of "random".
    """

    seed: int = 0

    def open(self, rest: str, device: "torch.device") -> Rule:
        """The rule.

        Raises:
            EvaluationError: there is none of that name.
        """
        if rest not in NAMES:
            raise _unknown(rest)
        return Rule(rest, self.seed, device)


def baseline(name: str, questions: Sequence[OmniQuestion], *, seed: int = 0) -> Baseline:
    """The baseline of this name.

    ``random`` draws a letter by question, setting and seed, whatever else is asked. ``majority``
    always gives the letter that is right most often in ``questions``: it has seen the answers, and
    so bounds every constant guess. ``longest`` takes the option of most characters, the first of
    equals. ``echo`` repeats the first option's text, to try the parsing of such answers.

    Raises:
        EvaluationError: the name is unknown.
    """
    if name == "random":
        return _baseline(name, f"seed {seed}", lambda question: _drawn(question, seed))
    if name == "majority":
        counts = Counter(question.answer for question in questions)
        best = min(counts, key=lambda place: (-counts[place], place), default=0)
        return _baseline(name, LETTERS[best], lambda question: LETTERS[best])
    if name == "longest":
        return _baseline(name, "", _longest)
    if name == "echo":
        return _baseline(name, "", lambda question: question.options[0])
    raise _unknown(name)


def _unknown(name: str) -> EvaluationError:
    return EvaluationError(f"unknown baseline '{name}'; choose from {', '.join(NAMES)}")


def _baseline(name: str, parameters: str, answer: Callable[[Prompted], str]) -> Baseline:
    fingerprint = hashlib.sha256(f"baseline\0{name}\0{parameters}".encode()).hexdigest()
    return Baseline(name, fingerprint, answer)


def _drawn(question: Prompted, seed: int) -> str:
    key = f"{seed}\0{question.index}\0{question.setting}".encode()
    number = int.from_bytes(hashlib.sha256(key).digest()[:8], "big")
    return LETTERS[number % len(question.options)]


def _longest(question: Prompted) -> str:
    lengths = [len(option) for option in question.options]
    return LETTERS[lengths.index(max(lengths))]
