"""Does a model see shape or texture? Pictures with one class's shape and another's texture.

Geirhos et al. 2019, arXiv 1811.12231: among the decisions that name the shape's or the texture's
category, the share that names the shape's. Pictures whose two categories agree are no conflict
and do not count. The 16 categories and their ImageNet classes are those of model-vs-human
(modelvshuman/helper/human_categories.py, MIT licence).
"""

import re
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from eval.errors import EvaluationError
from eval.metrics.intervals import wilson_score
from eval.results import Score

NUM_IMAGENET_CLASSES = 1000


def _numbers(text: str) -> tuple[int, ...]:
    """ "8 10-12" is (8, 10, 11, 12)."""
    spans = [part.split("-") for part in text.split()]
    return tuple(chain.from_iterable(range(int(s[0]), int(s[-1]) + 1) for s in spans))


#: Numbers of the ImageNet-1k classes that make up each category, in the order of the categories.
CATEGORY_CLASSES = {
    "airplane": _numbers("404"),
    "bear": _numbers("294-297"),
    "bicycle": _numbers("444 671"),
    "bird": _numbers("8 10-16 18-20 22-24 80-83 87-96 98-100 127-133 135-145"),
    "boat": _numbers("472 554 625 814 914"),
    "bottle": _numbers("440 720 737 898-899 901 907"),
    "car": _numbers("436 511 817"),
    "cat": _numbers("281-286"),
    "chair": _numbers("423 559 765 857"),
    "clock": _numbers("409 530 892"),
    "dog": _numbers("152-191 193-203 205-226 228-241 243-250 252-257 259 261-263 265-268"),
    "elephant": _numbers("385-386"),
    "keyboard": _numbers("508 878"),
    "knife": _numbers("499"),
    "oven": _numbers("766"),
    "truck": _numbers("555 569 656 675 717 734 864 867"),
}
CATEGORIES = tuple(CATEGORY_CLASSES)

_FILE_NAME = re.compile(r"([a-z]+)\d*-([a-z]+)\d*(?:\.[A-Za-z]+)?$")


class ShapeBias(NamedTuple):
    """Shares over conflict pictures, with Wilson's intervals.

    Attributes:
        shape_bias: decisions for the shape among those for shape or texture; None where no
            decision is for either.
        shape_share: decisions for the shape among all.
        texture_share: decisions for the texture among all.
        num_without_conflict: pictures left out because shape and texture agree.
    """

    shape_bias: Score | None
    shape_share: Score
    texture_share: Score
    num_without_conflict: int


def category_decisions(
    probabilities: Float[Tensor, "batch 1000"],
) -> Int64[Tensor, " batch"]:
    """The category whose ImageNet classes have the highest mean probability.

    Geirhos et al. average rather than add, so that a category does not gain by having more
    classes. Ties go to the category that comes first in the alphabet.

    Args:
        probabilities: over the ImageNet-1k classes in their usual order.
    Returns:
        Places in ``CATEGORIES``.
    """
    means = torch.stack(
        [
            probabilities.double()[:, list(classes)].mean(dim=1)
            for classes in CATEGORY_CLASSES.values()
        ],
        dim=1,
    )
    numbers = torch.arange(len(CATEGORIES), device=means.device)
    is_best = means == means.amax(dim=1, keepdim=True)
    return torch.where(is_best, numbers, len(CATEGORIES)).amin(dim=1)


def cue_conflict_categories(file_name: str) -> tuple[int, int]:
    """Shape and texture of a published cue-conflict picture, ``SHAPE<n>-TEXTURE<n>``.

    Args:
        file_name: of any picture format, or a key without an ending.
    Returns:
        Places in ``CATEGORIES``.
    Raises:
        EvaluationError: the name has another form.
    """
    match = _FILE_NAME.search(file_name)
    if not match or not set(match.groups()) <= set(CATEGORIES):
        raise EvaluationError(
            f"{file_name or 'a picture without a name'} does not name a shape and a "
            "texture; cue-conflict pictures are called like airplane1-bird2, with "
            "the ending of any picture format"
        )
    return CATEGORIES.index(match[1]), CATEGORIES.index(match[2])


def shape_bias(
    decisions: Int64[np.ndarray, " images"],
    shapes: Int64[np.ndarray, " images"],
    textures: Int64[np.ndarray, " images"],
) -> ShapeBias:
    """Shape bias, and the shares of decisions for shape and for texture.

    Args:
        decisions: category named for each picture.
        shapes: category of its shape.
        textures: category of its texture.
    Raises:
        EvaluationError: no picture has a conflict.
    """
    has_conflict = shapes != textures
    if not has_conflict.any():
        raise EvaluationError(
            "no picture has different shape and texture; shape bias needs cue-conflict pictures"
        )
    for_shape: Bool[np.ndarray, " conflicts"] = (decisions == shapes)[has_conflict]
    for_texture: Bool[np.ndarray, " conflicts"] = (decisions == textures)[has_conflict]
    decided = for_shape[for_shape | for_texture]
    return ShapeBias(
        shape_bias=wilson_score(decided) if len(decided) else None,
        shape_share=wilson_score(for_shape),
        texture_share=wilson_score(for_texture),
        num_without_conflict=int((~has_conflict).sum()),
    )
