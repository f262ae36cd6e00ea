"""Captions and short answers from models that are asked in words, for the tasks about pictures."""

import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence

from jaxtyping import UInt8
from torch import Tensor

from data_pipelines.printable import printable
from data_pipelines.texts import listed
from eval.answers.cleaning import without_thoughts
from eval.errors import EvaluationError, UnansweredError
from eval.respondents.endings import Ending
from eval.respondents.pixels import DEFAULT_SIDE, Fitted, as_png
from eval.respondents.question import Prompted
from eval.respondents.response import Response

#: Asks for a caption where the task gives no prompt of its own.
DESCRIBE = "Describe this picture in one short sentence, as a caption. Write the caption alone."

#: Stands behind every question.
BRIEFLY = "Answer with one word or a few words, and nothing else."

_SETTING = "picture"


class InstructedModel(ABC):
    """A ``Respondent`` that is a ``Captioner`` and an ``Answerer`` too: a picture, then a question.

    Args:
        max_side: longest side of the pictures it is shown, pixels; None takes ``DEFAULT_SIDE``.
    """

    def __init__(self, *, max_side: int | None) -> None:
        self.image_transform = Fitted(DEFAULT_SIDE if max_side is None else max_side)

    @property
    @abstractmethod
    def name(self) -> str:
        """See ``Respondent``."""

    @abstractmethod
    def write(
        self, questions: Sequence[Prompted], *, max_tokens: int, num_beams: int
    ) -> Iterator[Response]:
        """See ``Respondent.respond``; answers of at most so many tokens."""

    @property
    def frame_side(self) -> int:
        """See ``FrameRespondent``."""
        return self.image_transform.side

    @property
    def wording(self) -> str:
        """See ``Instructed``."""
        return f"{DESCRIBE}\n{BRIEFLY}"

    def caption(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        *,
        prompts: Sequence[str] | None = None,
        max_tokens: int,
        num_beams: int = 1,
    ) -> list[str]:
        """See ``Captioner``; a prompt is the question that is asked about its picture.

        Raises:
            UnansweredError: see ``_texts``.
        """
        asked = listed(prompts) if prompts is not None else [DESCRIBE] * len(images)
        return self._texts(images, asked, max_tokens=max_tokens, num_beams=num_beams)

    def answer(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        questions: list[str],
        *,
        max_tokens: int,
    ) -> list[str]:
        """See ``Answerer``.

        Raises:
            UnansweredError: see ``_texts``.
        """
        asked = [f"{question}\n{BRIEFLY}" for question in listed(questions)]
        return self._texts(images, asked, max_tokens=max_tokens, num_beams=1)

    def _texts(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        asked: Sequence[str],
        *,
        max_tokens: int,
        num_beams: int,
    ) -> list[str]:
        """One text each, without reasoning between tags; what the model refuses to answer is empty.

        Refusals and texts that are not whole are said on standard error.

        Raises:
            UnansweredError: a question is left without an answer, or all are refused.
        """
        questions = [
            Prompted(index=i, setting=_SETTING, text=text, image=as_png(image, name=f"picture {i}"))
            for i, (image, text) in enumerate(zip(images, asked, strict=True))
        ]
        written = self.write(questions, max_tokens=max_tokens, num_beams=num_beams)
        try:
            responses = {response.index: response for response in written}
        except EvaluationError as error:
            raise UnansweredError(str(error)) from error
        self._check([responses.get(question.index) for question in questions])
        return [without_thoughts(responses[q.index].text or "").strip() for q in questions]

    def _check(self, responses: Sequence[Response | None]) -> None:
        failed = [r for r in responses if r is None or r.kind == "failed"]
        if failed:
            reason = failed[0].error if failed[0] else "no response"
            raise UnansweredError(
                f"{self.name} leaves {len(failed)} of {len(responses)} questions unanswered "
                f"({reason}); run the same command again"
            )
        self._tell_endings([r for r in responses if r is not None])
        refused = Counter(r.error for r in responses if r is not None and r.error is not None)
        if not refused:
            return
        (reason, _), count = refused.most_common(1)[0], refused.total()
        told = f"{self.name} refuses {count} of {len(responses)} questions: {reason}"
        if count == len(responses):
            raise UnansweredError(f"{told}; see whether it takes pictures")
        print(printable(f"warning: {told}; they count as empty texts"), file=sys.stderr)

    def _tell_endings(self, responses: Sequence[Response]) -> None:
        """Say how many texts are not what the model would have written in full."""
        endings = Counter(response.ending for response in responses)
        told = [
            f"{endings[ending]} {words}" for ending, words in _INCOMPLETE.items() if endings[ending]
        ]
        if told:
            print(
                f"warning: of {len(responses)} texts of {self.name} {', '.join(told)}; they count "
                "as they are",
                file=sys.stderr,
            )


_INCOMPLETE: dict[Ending, str] = {
    "length": "were cut at the token limit (raise max_tokens)",
    "content_filter": "were withheld by a filter",
    "refusal": "were declined",
    "tool_calls": "called a tool instead",
}
