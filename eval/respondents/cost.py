"""What asking costs: tokens, money, and how many requests it took."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from eval.respondents.question import Prompted

#: A count above it is a mistake of the endpoint's, and a float cannot hold some of them.
_MOST_TOKENS = 10**12


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens, in any currency; 0 for free.

    Args:
        input: of what is sent.
        output: of what is written.
    """

    input: float = 0.0
    output: float = 0.0

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Cost of so many tokens."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


def text_tokens(text: str) -> int:
    """Estimate: four characters a token, as is usual for English; at least 1."""
    return max(1, -(-len(text) // 4))


def count_of(value: object) -> int | None:
    """A number of tokens as an endpoint tells it; None where it is no number of tokens."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS:
        return value
    return None


@dataclass(slots=True)
class Account:
    """What one command has done so far.

    Args:
        sent: requests, tries included.
        retried: those of them that were a second or later try of a question.
        answered: questions that were paid and answered.
        cached: questions answered from the cache, free.
        lost: tries that may have been paid although their answer never arrived whole.
        troubles: how often what went wrong.
        input_tokens, output_tokens: of the answers that arrived; estimates where the endpoint
            does not say.
        cost: of these tokens.
    """

    sent: int = 0
    retried: int = 0
    answered: int = 0
    cached: int = 0
    lost: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    def summary(self) -> str:
        """One line for a person."""
        told = (
            f"{self.sent:,} requests sent ({self.retried:,} retries), {self.answered:,} answered, "
            f"{self.cached:,} from the cache; {self.input_tokens:,} tokens in, "
            f"{self.output_tokens:,} out"
        )
        if self.cost:
            told += f", cost {self.cost:.4f}"
        if self.lost:
            told += f"; {self.lost:,} answers were lost on the way and may have been paid"
        if self.troubles:
            kinds = ", ".join(f"{count} {kind}" for kind, count in self.troubles.most_common())
            told += f"; troubles: {kinds}"
        return told


@dataclass(frozen=True, slots=True)
class Estimate:
    """What asking would take, before anything is sent.

    Args:
        requests: that would be sent if all went well.
        cached: questions that would cost nothing.
        broken: questions whose picture or sound cannot be decoded.
        bytes: of all request bodies.
        input_tokens: estimate; see ``media_parts`` and ``text_tokens``.
        output_tokens: at most, were every answer as long as allowed.
        cost: of these tokens.
    """

    requests: int
    cached: int
    broken: int
    bytes: int
    input_tokens: int
    output_tokens: int
    cost: float

    def summary(self) -> str:
        """One line for a person."""
        return (
            f"dry run: {self.requests:,} requests of {self.bytes / 1e6:,.1f} MB in all, about "
            f"{self.input_tokens:,} tokens in and at most {self.output_tokens:,} out, cost at most "
            f"about {self.cost:.4f}; {self.cached:,} answers are in the cache, {self.broken:,} "
            "questions have undecodable media"
        )


@runtime_checkable
class Paid(Protocol):
    """A model whose answers are counted, and may cost money."""

    @property
    def account(self) -> Account:
        """What has been asked so far."""
        ...

    def estimate(self, questions: Sequence[Prompted]) -> Estimate:
        """What asking these would take; nothing is asked."""
        ...


def account_line(model: object) -> str | None:
    """What a model was asked, in one line; None where it was nothing, or is not counted."""
    if isinstance(model, Paid) and (model.account.sent or model.account.cached):
        return model.account.summary()
    return None
