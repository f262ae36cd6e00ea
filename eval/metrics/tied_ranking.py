"""Ranks under a stated tie rule, reciprocal ranks, and the published 1,000-pair galleries.

A query's right answers are the gallery entries of its own group (the image of a caption, the
captions of an image); its rank is that of the best of them. Of the others, those with a greater
score are ahead, those with an equal score are ahead or behind as the rule says:

- optimistic: behind (XMAI's published code, read);
- pessimistic: ahead;
- average: half of them, so that a rank may end in .5 (the midrank).

Own entries are never rivals: in a gallery of pairs an image may occur several times.
"""

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from eval.errors import EvaluationError
from eval.metrics.expected_ranking import level_entries
from eval.metrics.ranking import SCORES_AT_A_TIME

TieRule: TypeAlias = Literal["optimistic", "average", "pessimistic"]

_SHARE_AHEAD: dict[TieRule, float] = {"optimistic": 0.0, "average": 0.5, "pessimistic": 1.0}


class Rivals(NamedTuple):
    """Entries of other groups against the best own one of each query."""

    greater: Int64[np.ndarray, " queries"]
    equal: Int64[np.ndarray, " queries"]

    def ranks(self, ties: TieRule) -> Float64[np.ndarray, " queries"]:
        """Rank of the best own entry, 1 being the top."""
        return 1.0 + self.greater + _SHARE_AHEAD[ties] * self.equal


def rivals_of_own(
    query_embeds: Float[Tensor, "queries embed_dim"],
    gallery_embeds: Float[Tensor, "gallery embed_dim"],
    query_groups: Int64[Tensor, " queries"],
    gallery_groups: Int64[Tensor, " gallery"],
    *,
    scores_at_a_time: int = SCORES_AT_A_TIME,
) -> Rivals:
    """Count what is ahead of, and level with, the best entry of each query's own group.

    Args:
        query_embeds: unit L2 norm.
        gallery_embeds: unit L2 norm; equal rows give equal scores.
        query_groups: group of each query; the gallery holds at least one entry of it.
        gallery_groups: group of each entry.
    """
    found = level_entries(
        query_embeds,
        gallery_embeds,
        query_groups,
        gallery_groups,
        scores_at_a_time=scores_at_a_time,
    )
    return Rivals(found.ahead, found.rivals)


def galleries_of_pairs(
    num_pairs: int, *, size: int, seed: int = 0
) -> list[Int64[np.ndarray, " size"]]:
    """Pairs shuffled and cut into galleries; an incomplete last one is dropped.

    The shuffle is that of pandas' ``sample(frac=1, random_state=seed)``, which published figures
    were made with: NumPy's ``RandomState(seed).permutation``.

    Raises:
        EvaluationError: fewer pairs than one gallery needs.
    """
    if not 0 < size <= num_pairs:
        raise EvaluationError(
            f"galleries of {size} pairs cannot be made of {num_pairs}; give a size from 1 to "
            f"{num_pairs}"
        )
    order = np.random.RandomState(seed).permutation(num_pairs).astype(np.int64)
    return [order[start : start + size] for start in range(0, num_pairs - size + 1, size)]


def mean_reciprocal_rank(ranks: Float64[np.ndarray, " queries"]) -> float:
    """Mean of 1 / rank (Voorhees 1999), in (0, 1]."""
    return float((1.0 / ranks).mean())
