"""Scores of names in pictures where nobody looked for all of them.

A region that overlaps nothing marked is background or a thing that its source does not mark. Its
likelihood is that of any of these: what Cermelli et al. 2020, arXiv 2002.00718, do about the
background of new data in segmentation (their modified cross-entropy). They keep all old classes
as negatives of a marked pixel; here names that a source is not annotated with are left out there,
since vocabularies may overlap ("vehicle" and "car").

n = regions, C = names
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


def federated_logits(
    logits: Float[Tensor, "n columns"],
    classes: Int64[Tensor, " n"],
    is_foreign: Bool[Tensor, "n C"],
) -> Float[Tensor, "n columns"]:
    """Logits whose cross-entropy takes no name for absent that its source does not mark.

    Args:
        logits: of background and names.
        classes: column of each region.
        is_foreign: names that the source of the region's picture is not annotated with.
    Returns:
        Foreign names are minus infinity; of background regions, the background's is the logarithm
        of the summed exponentials of its own and theirs.
    """
    names = logits[:, 1:]
    foreign = names.masked_fill(~is_foreign, -torch.inf)
    any_of_them = torch.cat([logits[:, :1], foreign], dim=1).logsumexp(dim=1)
    background = torch.where(classes == 0, any_of_them, logits[:, 0])
    return torch.cat([background[:, None], names.masked_fill(is_foreign, -torch.inf)], dim=1)
