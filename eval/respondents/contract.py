"""What asking needs from a model that answers questions about pictures and sounds."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from eval.respondents.question import OmniQuestion, Prompted
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


@runtime_checkable
class KnowsQuestions(Protocol):
    """What becomes a ``Respondent`` when it is told all questions, their answers too."""

    def about(self, questions: Sequence[OmniQuestion]) -> Respondent:
        """The respondent to these questions."""
        ...


@runtime_checkable
class FrameRespondent(Respondent, Protocol):
    """A ``Respondent`` that takes many pictures with one open question: frames of a video."""

    @property
    def frame_side(self) -> int:
        """Longest side of the frames it is sent, pixels."""
        ...

    def write(
        self, questions: Sequence[Prompted], *, max_tokens: int, num_beams: int
    ) -> Iterator[Response]:
        """As ``respond``; answers of at most so many tokens."""
        ...


@runtime_checkable
class Prompting(Protocol):
    """A ``Respondent`` that is asked in words."""

    @property
    def style(self) -> str:
        """Of its prompts; see ``eval.respondents.prompt``."""
        ...


def respondent_of(model: object, questions: Sequence[OmniQuestion]) -> Respondent | None:
    """The model as one that answers these questions; None where it answers none."""
    told = model.about(questions) if isinstance(model, KnowsQuestions) else model
    return told if isinstance(told, Respondent) else None


def style_of(respondent: Respondent) -> str:
    """The style of its prompts; empty for one that gets none."""
    return respondent.style if isinstance(respondent, Prompting) else ""
