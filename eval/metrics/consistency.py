"""Does a prediction survive that the camera moves by one pixel?

The base crop is compared with the eight crops one pixel away, cut from the same picture with its
real border content: nothing is padded or wrapped (Shifman and Weiss 2024, arXiv 2404.07153, shifts
of this kind).
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from eval.errors import EvaluationError
from eval.metrics.intervals import cluster_bootstrap_score, mean_score, wilson_score
from eval.results import Score

#: Rows and columns by which the neighbours are off.
ONE_PIXEL_SHIFTS = tuple(
    (down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)
)


class ShiftConsistency(NamedTuple):
    """How stable predictions and embeddings are under shifts of one picture.

    Attributes:
        flip_rate: share of images where any shift changes the prediction (Wilson).
        mean_flip_rate: share of (image, shift) pairs that do (over images).
        mean_min_cosine: mean over images of the smallest cosine between the embedding of the base
            and that of a shift (over images); None without cosines.
        min_cosine: the smallest of all; None without cosines.
    """

    flip_rate: Score
    mean_flip_rate: Score
    mean_min_cosine: Score | None
    min_cosine: float | None


def shift_consistency(
    base: Int64[np.ndarray, " images"],
    shifted: Int64[np.ndarray, "images shifts"],
    cosines: Float64[np.ndarray, "images shifts"] | None = None,
    *,
    seed: int,
) -> ShiftConsistency:
    """Flip rates, and how far embeddings move.

    Args:
        base: class predicted for each image.
        shifted: class predicted for each of its shifted forms.
        cosines: between the embeddings of image and shifted form.
        seed: of the draws.
    Raises:
        EvaluationError: no images or no shifts.
    """
    if not shifted.size:
        raise EvaluationError("consistency needs images and shifts of them; there are none")
    is_changed = shifted != base[:, None]
    num_images, num_shifts = shifted.shape
    owners = np.repeat(np.arange(num_images), num_shifts)
    mean_flip_rate = cluster_bootstrap_score(is_changed.reshape(-1), owners, seed=seed)
    mean_min_cosine = None
    if cosines is not None:
        smallest = cosines.min(axis=1)
        bounds = (min(-1.0, float(smallest.min())), max(1.0, float(smallest.max())))
        mean_min_cosine = mean_score(
            smallest, np.arange(num_images), seed=seed, unit="number", bounds=bounds
        )
    return ShiftConsistency(
        flip_rate=replace(wilson_score(is_changed.any(axis=1)), lower_is_better=True),
        mean_flip_rate=replace(mean_flip_rate, lower_is_better=True),
        mean_min_cosine=mean_min_cosine,
        min_cosine=None if cosines is None else float(cosines.min()),
    )
