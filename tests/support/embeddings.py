"""Random paired embeddings and contrastive losses written as float64 loops, for parity tests."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vlsuite.objectives.contrastive import ContrastiveObjective


class Pairs(NamedTuple):
    """Unit-norm images and texts, paired by row; fp32 leaves that take gradients."""

    images: Tensor
    texts: Tensor


def random_pairs(batch: int, dim: int, *, seed: int, noise: float = 2.0) -> Pairs:
    """Texts that resemble their image; ``noise`` 0 makes them equal to it."""
    generator = torch.Generator().manual_seed(seed)
    images = F.normalize(torch.randn(batch, dim, generator=generator), dim=1)
    noise_rows = F.normalize(torch.randn(batch, dim, generator=generator), dim=1)
    texts = F.normalize(images + noise * noise_rows, dim=1)
    return Pairs(images.requires_grad_(), texts.requires_grad_())


def value_and_gradients(objective: ContrastiveObjective, pairs: Pairs) -> list[Tensor]:
    """Loss, then its gradients for images, texts and the objective's parameters in order."""
    total = objective(*pairs).total
    return [total.detach(), *torch.autograd.grad(total, [*pairs, *objective.parameters()])]


def assert_equal_to(actual: list[Tensor], expected: list[Tensor], *, tolerance: float) -> None:
    """Raise unless each differs by at most ``tolerance`` times the largest expected entry.

    Entries near 0 come from numbers near 1 that cancel, so the largest counts as 0.1 at least.
    """
    for position, (value, reference) in enumerate(zip(actual, expected, strict=True)):
        bound = tolerance * max(0.1, reference.abs().max().item())
        error = (value.double() - reference.double()).abs().max().item()
        if not error <= bound:
            raise AssertionError(f"result {position}: error {error:.3g}, bound {bound:.3g}")


def softmax_loops(
    pairs: Pairs, log_logit_scale: float, *, positive_sign: float = 1.0
) -> list[Tensor]:
    """Value and gradients of CLIP's loss, equation by equation (Radford et al. 2021, Figure 3).

    ``positive_sign`` -1 plants an error, to show that a comparison would notice it.
    """
    images, texts, scale = pairs.images.tolist(), pairs.texts.tolist(), math.exp(log_logit_scale)
    batch = len(images)
    logits = [[scale * _dot(x, y) for y in texts] for x in images]
    rows = [_log_sum_exp(row) for row in logits]
    columns = [_log_sum_exp([row[j] for row in logits]) for j in range(batch)]
    loss = sum(rows[i] + columns[i] - 2 * positive_sign * logits[i][i] for i in range(batch))
    slopes = [
        [
            math.exp(logits[i][j] - rows[i])
            + math.exp(logits[i][j] - columns[j])
            - 2 * positive_sign * (i == j)
            for j in range(batch)
        ]
        for i in range(batch)
    ]
    return [_tensor(loss / (2 * batch)), *_chain(pairs, logits, slopes, scale, 1 / (2 * batch))]


def sigmoid_loops(
    pairs: Pairs, log_logit_scale: float, bias: float, *, positive_sign: float = 1.0
) -> list[Tensor]:
    """Value and gradients of SigLIP's loss, pair by pair (Zhai et al. 2023, equation 1).

    ``positive_sign`` -1 plants an error, to show that a comparison would notice it.
    """
    images, texts, scale = pairs.images.tolist(), pairs.texts.tolist(), math.exp(log_logit_scale)
    batch = len(images)
    similarities = [[scale * _dot(x, y) for y in texts] for x in images]
    loss, slopes = 0.0, [[0.0] * batch for _ in range(batch)]
    for i in range(batch):
        for j in range(batch):
            z = positive_sign if i == j else -1.0
            loss += math.log1p(math.exp(-z * (similarities[i][j] + bias)))
            slopes[i][j] = -z / (1 + math.exp(z * (similarities[i][j] + bias)))
    gradients = _chain(pairs, similarities, slopes, scale, 1 / batch)
    bias_gradient = sum(map(sum, slopes)) / batch
    return [_tensor(loss / batch), *gradients, _tensor([bias_gradient])]


def _chain(
    pairs: Pairs,
    scaled: list[list[float]],
    slopes: list[list[float]],
    scale: float,
    factor: float,
) -> list[Tensor]:
    """From dL/dlogits to images, texts and the logarithm of the scale."""
    slope = _tensor(slopes) * factor
    images, texts = pairs.images.detach().double(), pairs.texts.detach().double()
    log_scale = (slope * _tensor(scaled)).sum()[None]
    return [scale * slope @ texts, scale * slope.T @ images, log_scale]


def _dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def _log_sum_exp(values: list[float]) -> float:
    largest = max(values)
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def _tensor(values: object) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
