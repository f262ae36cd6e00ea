"""Ranks under ties that are broken at random, in expectation: constant scores give chance.

A query's best own entry has a score that ``rivals`` other entries reach too, ``own`` entries of its
own among them that are level with it, and ``ahead`` entries exceed. In a random order of the level
ones the first own entry is among the first k of the ranking with probability
1 - C(rivals, r) / C(rivals + own, r), r = k - ahead, and its expected place is
1 + ahead + rivals / (own + 1).
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from eval.metrics.ranking import SCORES_AT_A_TIME, score_slices


class LevelEntries(NamedTuple):
    """What stands ahead of, and level with, the best own entry of each query.

    Attributes:
        ahead: entries of others with a greater score.
        rivals: entries of others with the same score.
        own: own entries with the same score, itself among them.
    """

    ahead: Int64[np.ndarray, " queries"]
    rivals: Int64[np.ndarray, " queries"]
    own: Int64[np.ndarray, " queries"]

    def hits(self, k: int) -> Float64[np.ndarray, " queries"]:
        """Probability that an own entry is among the first k."""
        values = np.zeros(len(self.ahead))
        for i, (ahead, rivals, own) in enumerate(zip(*self, strict=True)):
            room = k - int(ahead)
            if room > 0:
                level = int(rivals + own)
                taken = min(room, level)
                values[i] = 1.0 - math.comb(int(rivals), taken) / math.comb(level, taken)
        return values

    def ranks(self) -> Float64[np.ndarray, " queries"]:
        """Expected place of the first own entry, 1 being the top."""
        return 1.0 + self.ahead + self.rivals / (self.own + 1)


def level_entries(
    query_embeds: Float[Tensor, "queries embed_dim"],
    gallery_embeds: Float[Tensor, "gallery embed_dim"],
    query_groups: Int64[Tensor, " queries"],
    gallery_groups: Int64[Tensor, " gallery"],
    *,
    scores_at_a_time: int = SCORES_AT_A_TIME,
) -> LevelEntries:
    """Count the entries that decide the rank of each query's best own one.

    Args:
        query_embeds: unit L2 norm.
        gallery_embeds: unit L2 norm; equal rows give equal scores.
        query_groups: group of each query; the gallery holds at least one entry of it.
        gallery_groups: group of each entry.
    """
    counts: list[list[Tensor]] = [[], [], []]
    for start, scores in score_slices(query_embeds, gallery_embeds, scores_at_a_time):
        groups = query_groups[start : start + len(scores)].to(scores.device)
        is_own = groups[:, None] == gallery_groups.to(scores.device)[None, :]
        best = scores.masked_fill(~is_own, -torch.inf).amax(dim=1, keepdim=True)
        counts[0].append(torch.count_nonzero((scores > best) & ~is_own, dim=1))
        counts[1].append(torch.count_nonzero((scores == best) & ~is_own, dim=1))
        counts[2].append(torch.count_nonzero((scores == best) & is_own, dim=1))
    return LevelEntries(*(torch.cat(parts).cpu().numpy() for parts in counts))
