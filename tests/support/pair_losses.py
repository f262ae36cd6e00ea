"""Float64 scalars and small builders for objectives written as one loss a pair.

The loops of the tests combine these scalars one by one; autograd differentiates them, so that a
test's equation is written once, as published, and gives values and gradients.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tests.support.embeddings import Pairs, random_pairs
from vlsuite.objectives.contrastive import ContrastiveObjective
from vlsuite.objectives.pair_keys import PairKeys
from vlsuite.objectives.pairwise import Similarities

Matrix = list[list[Tensor]]


class Doubles(NamedTuple):
    """The same embeddings as float64 leaves, and the cosine of every image with every text."""

    pairs: Pairs
    cosines: Matrix

    @property
    def directions(self) -> tuple[Matrix, Matrix]:
        """Rows of images over texts, and rows of texts over images."""
        return self.cosines, [list(column) for column in zip(*self.cosines, strict=True)]


def doubles(pairs: Pairs) -> Doubles:
    """Float64 twins of fp32 embeddings."""
    images, texts = (value.detach().double().requires_grad_() for value in pairs)
    return Doubles(Pairs(images, texts), [[(x * y).sum() for y in texts] for x in images])


def log_sum_exp(values: Sequence[Tensor]) -> Tensor:
    """log of the sum of exponentials, the largest taken out."""
    largest = max(value.item() for value in values)
    return largest + sum(((value - largest).exp() for value in values), torch.tensor(0.0)).log()


def info_nce(cosines: tuple[Matrix, Matrix], i: int, scale: Tensor) -> Tensor:
    """-log p_ii of image i and of text i, averaged (Radford et al. 2021, Figure 3)."""
    parts = [log_sum_exp([scale * c for c in rows[i]]) - scale * rows[i][i] for rows in cosines]
    return (parts[0] + parts[1]) / 2


def learned_scale(objective: ContrastiveObjective) -> tuple[Tensor, Tensor]:
    """The logarithm of an objective's scale as a float64 leaf, and the scale."""
    log_scale = objective.log_logit_scale.detach().double().clone().requires_grad_()
    return log_scale, log_scale.exp()


def expected_results(total: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Value and gradients of a loop; zeros where a leaf has no part in it."""
    if not total.requires_grad:
        return [total.detach(), *map(torch.zeros_like, leaves)]
    found = torch.autograd.grad(total, leaves, allow_unused=True)
    pairs = zip(found, leaves, strict=True)
    return [total.detach(), *(torch.zeros_like(x) if g is None else g for g, x in pairs)]


def actual_results(objective: ContrastiveObjective, pairs: Pairs, keys: PairKeys) -> list[Tensor]:
    """Loss, then gradients for images, texts and what the objective learns."""
    total = objective(*pairs, keys).total
    learned = [p for p in objective.parameters() if p.requires_grad]
    return [total.detach(), *torch.autograd.grad(total, [*pairs, *learned])]


def keys_of(identities: Sequence[int]) -> PairKeys:
    """Pair i has key 1000 + i, and the identity given."""
    count = len(identities)
    return PairKeys(torch.arange(1000, 1000 + count), torch.tensor(identities))


def different(batch: int) -> PairKeys:
    """Keys of pairs that are all of other identities."""
    return keys_of(range(batch))


def scores_of(cosines: Tensor, identities: Sequence[int] | None = None) -> Similarities:
    """What one process holds of a square matrix of cosines, images by rows."""
    count = len(cosines)
    who = torch.tensor(range(count) if identities is None else identities)
    same = who[:, None] == who[None, :]
    return Similarities(cosines, cosines.T, torch.arange(count), same)


def random_scores(
    batch: int, *, seed: int, identities: Sequence[int] | None = None, dtype=torch.float32
) -> tuple[Tensor, Similarities]:
    """Cosines of random pairs as a leaf, and the similarities made of it."""
    pairs = random_pairs(batch, 6, seed=seed, noise=3.0)
    leaf = (pairs.images @ pairs.texts.T).detach().to(dtype).requires_grad_()
    return leaf, scores_of(leaf, identities)
