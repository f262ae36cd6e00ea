"""From embeddings of regions to scores of names, over the whole vocabulary at once.

Gu et al. 2022, arXiv 2104.13921: softmax over background and names (ViLD-text), and the ensemble
of both heads as in the released ops/postprocess_ops.py. All in fp64, so that the number of names
that are scored at a time changes nothing.

n = regions, C = names, D = length of an embedding
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def name_logits(
    region_embeds: Float[Tensor, "n D"],
    class_embeds: Float[Tensor, "C D"],
    *,
    temperature: float,
    names_per_pass: int | None = None,
) -> Float[Tensor, "n C"]:
    """Cosines over the temperature, fp64.

    Args:
        region_embeds: unit L2 norm.
        class_embeds: unit L2 norm.
        names_per_pass: names that are compared at a time; None: all.
    """
    passes = class_embeds.split(names_per_pass or max(1, len(class_embeds)))
    found = [region_embeds.double() @ part.double().mT for part in passes]
    return torch.cat(found, dim=1) / temperature


def text_probabilities(
    logits: Float[Tensor, "n C"], background: Float[Tensor, " n"]
) -> Float[Tensor, "n C"]:
    """Softmax over background and all names; the names' part.

    Args:
        logits: see :func:`name_logits`; minus infinity where a name cannot be said.
        background: logit of the background of each region.
    """
    joined = torch.cat([background[:, None].double(), logits.double()], dim=1)
    return joined.softmax(dim=1)[:, 1:]


def image_probabilities(logits: Float[Tensor, "n C"]) -> Float[Tensor, "n C"]:
    """Softmax over all names, without background."""
    return logits.double().softmax(dim=1)


def ensembled(
    text: Float[Tensor, "n C"],
    image: Float[Tensor, "n C"],
    is_base: Bool[Tensor, " C"],
    *,
    base_exponent: float,
    novel_exponent: float,
) -> Float[Tensor, "n C"]:
    """Weighted geometric mean of both heads (ViLD-ensemble).

    p_text^(2/3) p_image^(1/3) for base names and p_text^(1/3) p_image^(2/3) for others, where
    exponents are the published ones.

    Args:
        text, image: probabilities.
        is_base: whether a name was trained on.
        base_exponent, novel_exponent: of ``text``; ``image`` has the rest to 1.
    """
    one = torch.ones((), dtype=torch.float64, device=text.device)
    exponents = torch.where(is_base, base_exponent * one, novel_exponent * one)
    return text.double() ** exponents * image.double() ** (1 - exponents)


def with_objectness(
    probabilities: Float[Tensor, "n C"], objectness: Float[Tensor, " n"], *, exponent: float
) -> Float[Tensor, "n C"]:
    """Probabilities that know no background, weighted by how much a region looks like an object.

    The geometric mean of both at exponent 0.5, as for the publication's CLIP on cropped regions.
    Whether its ViLD-image does so is not said.

    Args:
        objectness: probability that the region holds an object.
    """
    return probabilities.double() ** (1 - exponent) * objectness.double()[:, None] ** exponent
