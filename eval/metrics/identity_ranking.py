"""Text-based person search: how early do all pictures of the described person come?

A query (caption) has a right answer in every picture of its identity. Of its ranking, r(1) < ... <
r(m) being the places of the right pictures, counted from 1:

- recall at k: whether r(1) <= k;
- average precision: mean over j of j / r(j);
- inverse negative penalty: m / r(m), how deep one has to look for the hardest one (Ye et al. 2021,
  arXiv 2001.04193, section 2.4).

mAP and mINP are means over queries. Equal scores are ordered by the number of the picture.
"""

from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float64, Int64
from scipy.special import gammaln
from torch import Tensor

from eval.metrics.ranking import SCORES_AT_A_TIME, score_slices


class IdentityRanking(NamedTuple):
    """One entry a query.

    Attributes:
        first_places: of the first right picture; 0 is the top.
        average_precision: in (0, 1].
        inverse_negative_penalty: in (0, 1].
    """

    first_places: Int64[np.ndarray, " queries"]
    average_precision: Float64[np.ndarray, " queries"]
    inverse_negative_penalty: Float64[np.ndarray, " queries"]


def rank_identities(
    query_embeds: Float[Tensor, "queries embed_dim"],
    gallery_embeds: Float[Tensor, "gallery embed_dim"],
    query_identities: Int64[Tensor, " queries"],
    gallery_identities: Int64[Tensor, " gallery"],
    *,
    scores_at_a_time: int = SCORES_AT_A_TIME // 4,
) -> IdentityRanking:
    """Rank the gallery for each query by cosine, a slice of queries at a time.

    Args:
        query_embeds: unit L2 norm.
        gallery_embeds: unit L2 norm, on the device that computes.
        query_identities: each has a picture in the gallery.
        gallery_identities: of each picture.
        scores_at_a_time: cosines in memory; their order and places take eight times as much.
    """
    own, theirs = (
        identities.to(gallery_embeds.device)
        for identities in (query_identities, gallery_identities)
    )
    places = torch.arange(1, len(theirs) + 1, device=theirs.device, dtype=torch.float64)
    parts = []
    for start, scores in score_slices(query_embeds, gallery_embeds, scores_at_a_time):
        order = torch.sort(scores, dim=1, descending=True, stable=True).indices
        is_right = theirs[order] == rearrange(own[start : start + len(scores)], "q -> q 1")
        found = is_right.cumsum(dim=1)
        num_right = found[:, -1]
        precision = torch.where(is_right, found / places, 0.0).sum(dim=1) / num_right
        hardest = torch.where(is_right, places, 0.0).amax(dim=1)
        parts.append((is_right.int().argmax(dim=1), precision, num_right / hardest))
    first, precision, penalty = (torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True))
    return IdentityRanking(first, precision, penalty)


def chance_of_average_precision(num_right: int, gallery_size: int) -> float:
    """Expected average precision of a ranking in random order, exactly.

    Place i is right with probability m/g, and i - 1 places before it then hold (i - 1)(m - 1)/(g -
    1) right ones on average.

    Args:
        num_right: m, at least 1.
        gallery_size: g, at least m.
    """
    places = np.arange(1, gallery_size + 1)
    others = (num_right - 1) / max(1, gallery_size - 1)
    return float(((1 + (places - 1) * others) / places).mean())


def chance_of_negative_penalty(num_right: int, gallery_size: int) -> float:
    """Expected inverse negative penalty of a ranking in random order, exactly.

    The hardest right picture is at place r with probability C(r - 1, m - 1) / C(g, m).

    Args:
        num_right: m, at least 1.
        gallery_size: g, at least m.
    """
    places = np.arange(num_right, gallery_size + 1, dtype=np.float64)
    log_share = _log_choose(places - 1, num_right - 1) - _log_choose(gallery_size, num_right)
    return float((np.exp(log_share) * num_right / places).sum())


def _log_choose(n: Float64[np.ndarray, " n"] | int, k: int) -> np.ndarray:
    return np.asarray(gammaln(np.add(n, 1)) - gammaln(k + 1) - gammaln(np.subtract(n, k) + 1))
