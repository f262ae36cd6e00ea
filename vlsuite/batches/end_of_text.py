"""Where a text ends in its token ids, as the text tower that pools there sees it."""

from dataclasses import dataclass

from jaxtyping import Int, Int64
from torch import Tensor


@dataclass(frozen=True, slots=True)
class EndOfText:
    """The rule by which open_clip's text towers find the token whose state they pool.

    Under a causal mask nothing after that token matters, so token ids may be cut behind it.

    Attributes:
        token_id: of the end-of-text token, whose first place counts (open_clip's ``pool_type``
            "eos"; a row without it is pooled at its first token). None: the first place of the
            row's highest id ("argmax").
    """

    token_id: int | None = None

    def places(self, token_ids: Int[Tensor, "texts length"]) -> Int64[Tensor, " texts"]:
        """The column of each text that is pooled."""
        if self.token_id is None:
            return token_ids.argmax(dim=1)
        return (token_ids == self.token_id).int().argmax(dim=1)

    def cut(
        self, token_ids: Int[Tensor, "texts length"], *, multiple: int = 8
    ) -> Int[Tensor, "texts shorter"]:
        """The columns that the longest text needs, rounded up so that few shapes occur."""
        needed = int(self.places(token_ids).max()) + 1
        return token_ids[:, : -(-needed // multiple) * multiple]
