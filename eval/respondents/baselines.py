"""Models that look at nothing: what a guess is worth, and whether the pipeline runs."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from eval.errors import EvaluationError
from eval.respondents.question import LETTERS, OmniQuestion, Prompted
from eval.respondents.response import Response

NAMES = ("random", "majority", "longest", "echo")


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
    raise EvaluationError(f"unknown baseline '{name}'; choose from {', '.join(NAMES)}")


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
