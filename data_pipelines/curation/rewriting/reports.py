"""What a rewriting would take, and what came of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Estimate(NamedTuple):
    """What a rewriting would take.

    Attributes:
        captions: that would be asked for, equal ones of a shard once.
        shards: that have some of them.
        input_tokens: that would be sent, about.
        output_tokens: that come back where the new captions are as long as the old.
        most_output_tokens: were every answer as long as allowed.
        cost, most_cost: of these.
    """

    captions: int
    shards: int
    input_tokens: int
    output_tokens: int
    most_output_tokens: int
    cost: float
    most_cost: float

    def summary(self) -> str:
        """One line for a person."""
        told = (
            f"{self.captions:,} captions of {self.shards:,} shards to ask for: about "
            f"{self.input_tokens:,} tokens in, {self.output_tokens:,} out where they stay as long "
            f"as they are, {self.most_output_tokens:,} at most"
        )
        if self.most_cost:
            told += f"; cost about {self.cost:.2f}, at most {self.most_cost:.2f}"
        return told


class RewriteReport(NamedTuple):
    """What was written.

    Attributes:
        folder: of the column.
        rows: of all shards.
        rewritten: with a new caption.
        reasons: rows without one, by reason.
        input_tokens, output_tokens: of all answers in the column.
        num_written: shards that were written now.
    """

    folder: Path
    rows: int
    rewritten: int
    reasons: Mapping[str, int]
    input_tokens: int
    output_tokens: int
    num_written: int
