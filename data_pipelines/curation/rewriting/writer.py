"""What rewriting needs from a model that writes; ``eval.respondents.caption_writer`` is one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from data_pipelines.schema import JsonValue

#: Why nothing usable was written: a filter withheld it, the model declined, the limit of tokens
#: came first, the endpoint will never take the request, or its tries ran out ("failed": it is asked
#: again the next time).
Trouble = Literal["", "filtered", "declined", "cut", "refused", "failed"]


class Written(NamedTuple):
    """What came back for one prompt.

    Attributes:
        number: of the prompt.
        text: what the model wrote, without reasoning.
        trouble: why it cannot be used; empty where it can.
        input_tokens, output_tokens: that were counted.
    """

    number: int
    text: str
    trouble: Trouble = ""
    input_tokens: int = 0
    output_tokens: int = 0


@runtime_checkable
class CaptionWriter(Protocol):
    """A model that is asked in words, wherever it runs."""

    @property
    def identity(self) -> Mapping[str, JsonValue]:
        """All that its answers depend on besides the prompt."""
        ...

    @property
    def max_tokens(self) -> int:
        """Of one answer."""
        ...

    def tokens_of(self, text: str) -> int:
        """About how many tokens a text has."""
        ...

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Of so many tokens; 0 where nothing has to be paid."""
        ...

    def answered(self, prompts: Sequence[str], *, answers: Path) -> frozenset[int]:
        """Numbers of the prompts whose answer is in the file already; nothing is asked.

        Args:
            prompts, answers: as for ``write``.
        """
        ...

    def write(self, prompts: Sequence[str], *, answers: Path) -> Iterator[Written]:
        """What is written for each prompt, in any order, each as soon as it is there.

        Args:
            prompts: each different from the others.
            answers: file in which paid answers are kept until they are stored elsewhere; what is in
                it already is not asked again.
        Raises:
            UserError: nothing more can be asked.
        """
        ...
