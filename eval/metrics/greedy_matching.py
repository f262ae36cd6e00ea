"""BERTScore from given token embeddings (Zhang et al. 2020, arXiv 1904.09675, equation 1).

Each token is matched with the most similar token of the other text: recall is the mean over the
reference's tokens, precision over the candidate's. No weighting by rarity, no rescaling.
"""

from typing import NamedTuple

import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor


class Matching(NamedTuple):
    """Cosines in [-1, 1]."""

    precision: Float[Tensor, " texts"]
    recall: Float[Tensor, " texts"]
    f1: Float[Tensor, " texts"]


def greedy_matching(
    candidates: Float[Tensor, "texts longest embed_dim"],
    references: Float[Tensor, "texts other_longest embed_dim"],
    is_candidate: Bool[Tensor, "texts longest"],
    is_reference: Bool[Tensor, "texts other_longest"],
) -> Matching:
    """Precision, recall and F1 of each candidate against its reference.

    Args:
        candidates: embeddings of tokens, of any length.
        references: the same of the texts they are compared with.
        is_candidate: which tokens count; at least one in each text.
        is_reference: the same of the references.
    """
    one = torch.nn.functional.normalize(candidates, dim=-1)
    other = torch.nn.functional.normalize(references, dim=-1)
    cosines = einsum(one, other, "texts i d, texts j d -> texts i j")
    counted = is_candidate[:, :, None] & is_reference[:, None, :]
    cosines = cosines.masked_fill(~counted, -torch.inf)
    precision = _mean(cosines.amax(dim=2), is_candidate)
    recall = _mean(cosines.amax(dim=1), is_reference)
    total = precision + recall
    f1 = torch.where(total > 0, 2 * precision * recall / total, torch.zeros_like(total))
    return Matching(precision, recall, f1)


def _mean(
    values: Float[Tensor, "texts tokens"], counts: Bool[Tensor, "texts tokens"]
) -> Float[Tensor, " texts"]:
    return values.masked_fill(~counts, 0).sum(dim=1) / counts.sum(dim=1)
