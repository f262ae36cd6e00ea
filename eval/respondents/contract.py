"""What asking needs from a model that answers questions about pictures and sounds."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from eval.respondents.question import Prompted
from eval.respondents.response import Response


@runtime_checkable
class Respondent(Protocol):
    """A model, wherever it runs."""

    @property
    def name(self) -> str:
        """What result files and tables call it."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that its answers depend on: weights or address, prompt, parameters."""
        ...

    def respond(self, questions: Sequence[Prompted]) -> Iterator[Response]:
        """One response a question, in any order, each as soon as it is there.

        Trouble with one question is a ``Response`` with an error, never an exception.

        Raises:
            EvaluationError: nothing can be asked at all (wrong address, key, or weights).
        """
        ...
