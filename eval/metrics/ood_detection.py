"""Can the model tell images of its classes from images of none? Scores for one image.

All scores are higher for images that look in-distribution (ID); u are the cosines of an image to
the class embeddings, b = batch, c = classes.
"""

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eval.errors import EvaluationError
from eval.metrics.ranking import SCORES_AT_A_TIME, full_precision


def max_softmax_score(
    cosines: Float[Tensor, "batch classes"], *, temperature: float = 1.0
) -> Float64[Tensor, " batch"]:
    """Maximum concept matching, MCM: the largest softmax(u / temperature).

    Ming et al. 2022, arXiv 2211.13445, equation 1: temperature 1 on raw cosines, with one prompt
    "a photo of a {c}". With the model's own logit scale as 1 / temperature it is the maximum
    softmax probability of Hendrycks and Gimpel 2017.

    Returns:
        In [1 / c, 1].
    """
    return torch.softmax(cosines.double() / temperature, dim=1).amax(dim=1)


def max_logit_score(cosines: Float[Tensor, "batch classes"]) -> Float64[Tensor, " batch"]:
    """The largest cosine (Hendrycks et al. 2022, arXiv 1911.11132, maximum logit)."""
    return cosines.double().amax(dim=1)


def energy_score(
    cosines: Float[Tensor, "batch classes"], *, temperature: float = 1.0
) -> Float64[Tensor, " batch"]:
    """Negative free energy, temperature * logsumexp(u / temperature).

    Liu et al. 2020, arXiv 2010.03759, equation 4 with its sign turned; their T is our
    temperature.
    """
    return temperature * torch.logsumexp(cosines.double() / temperature, dim=1)


def nearest_neighbour_score(
    image_embeds: Float[Tensor, "batch embed_dim"],
    bank_embeds: Float[Tensor, "bank embed_dim"],
    *,
    k: int,
    scores_at_a_time: int = SCORES_AT_A_TIME,
) -> Float64[Tensor, " batch"]:
    """Minus the distance to the k-th nearest of a bank of in-distribution images.

    Sun et al. 2022, arXiv 2204.06507, equation 4, on unit vectors. Exact: every image is compared
    with the whole bank, a slice of images at a time. The bank must not hold the images that are
    scored, each of which would be its own nearest neighbour.

    Args:
        image_embeds: unit L2 norm.
        bank_embeds: unit L2 norm, on the same device.
        k: place of the neighbour, 1 being the nearest; the paper takes 1000 of 1.28 million.
    Returns:
        In [-2, 0].
    Raises:
        EvaluationError: the bank has fewer than k images.
    """
    if not 1 <= k <= len(bank_embeds):
        raise EvaluationError(
            f"k = {k} neighbours cannot be found among {len(bank_embeds)} images; "
            f"choose k between 1 and {len(bank_embeds)}"
        )
    step = max(1, scores_at_a_time // len(bank_embeds))
    slices = [
        _kth_distance(image_embeds[start : start + step], bank_embeds, k)
        for start in range(0, len(image_embeds), step)
    ]
    return -torch.cat(slices) if slices else image_embeds.new_zeros(0, dtype=torch.float64)


def _kth_distance(image_embeds: Tensor, bank_embeds: Tensor, k: int) -> Tensor:
    """The neighbour is found by cosine in fp32, its distance is then computed in float64."""
    with full_precision():
        cosines = image_embeds.float() @ bank_embeds.float().T
    neighbours = bank_embeds[torch.topk(cosines, k, dim=1).indices[:, -1]]
    return torch.linalg.vector_norm(image_embeds.double() - neighbours.double(), dim=1)
