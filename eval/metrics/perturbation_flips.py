"""How often a prediction changes while a picture is perturbed little by little (ImageNet-P).

Hendrycks and Dietterich 2019, arXiv 1903.12261, section 4.2, as ImageNet-P/test.py of
hendrycks/robustness computes it. In noise sequences each frame is noisy by itself and is compared
with the first; in the others each frame is compared with the one before it.

s = sequences, f = frames
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64

from eval.errors import EvaluationError

#: The ten perturbations of mFR.
PERTURBATIONS = (
    "gaussian_noise",
    "shot_noise",
    "motion_blur",
    "zoom_blur",
    "snow",
    "brightness",
    "translate",
    "rotate",
    "tilt",
    "scale",
)

_TOP = 5


def flip_probability(
    predictions: Int64[np.ndarray, "sequences frames"], *, is_noise: bool, difficulty: int = 1
) -> float:
    """Share of compared frames with different predictions, averaged over sequences.

    Args:
        predictions: class predicted in each frame.
        is_noise: compare with the first frame rather than with the one before.
        difficulty: frames are compared with the one this many before them; noise sequences of
            higher difficulty are other data and are compared as always.
    Returns:
        In [0, 1].
    Raises:
        EvaluationError: no sequences, or too few frames.
    """
    before, after = _pairs(predictions, is_noise=is_noise, difficulty=difficulty)
    return float((before != after).mean())


def top5_distance(
    top_classes: Int64[np.ndarray, "sequences frames 5"], *, is_noise: bool, difficulty: int = 1
) -> float:
    """How far the five best classes move, averaged over compared frames and sequences.

    The distance of two frames is the sum over i = 1..5 of |i - min(r_i, 6)|, r_i being the rank
    in the later frame of the class that was i-th in the earlier one.

    Args:
        top_classes: the five classes with the highest scores, best first.
        is_noise: as in ``flip_probability``.
        difficulty: as in ``flip_probability``.
    Returns:
        In [0, 15].
    Raises:
        EvaluationError: no sequences, or too few frames.
    """
    before, after = _pairs(top_classes, is_noise=is_noise, difficulty=difficulty)
    is_same = before[..., :, None] == after[..., None, :]
    places = np.where(is_same.any(axis=-1), is_same.argmax(axis=-1), _TOP)
    return float(np.abs(places - np.arange(_TOP)).sum(axis=-1).mean())


def mean_relative_to(values: Mapping[str, float], reference: Mapping[str, float]) -> float:
    """mFR or mT5D: the mean over the ten perturbations of value / reference value.

    Args:
        values: flip probability or top-5 distance of a model for each perturbation.
        reference: the same of AlexNet, or of whatever the figure shall be relative to.
    Raises:
        EvaluationError: perturbations are missing, or a reference is not above 0.
    """
    missing = [name for name in PERTURBATIONS if name not in values or name not in reference]
    if missing:
        raise EvaluationError(
            f"the mean over {len(PERTURBATIONS)} perturbations misses {', '.join(missing)}; "
            "evaluate those too, for the model and for the reference"
        )
    useless = [name for name in PERTURBATIONS if not reference[name] > 0]
    if useless:
        raise EvaluationError(
            f"the reference never changes under {', '.join(useless)}; choose another reference"
        )
    return float(np.mean([values[name] / reference[name] for name in PERTURBATIONS]))


def _pairs(frames: np.ndarray, *, is_noise: bool, difficulty: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames to compare: [s, pairs, ...] earlier and later. All sequences have equally many."""
    stride = 1 if is_noise else difficulty
    num_sequences, num_frames = frames.shape[:2]
    if not num_sequences or num_frames <= stride:
        raise EvaluationError(
            f"{num_sequences} sequences of {num_frames} frames leave nothing to compare at "
            f"difficulty {difficulty}; give longer sequences"
        )
    later = frames[:, stride:]
    earlier = np.broadcast_to(frames[:, :1], later.shape) if is_noise else frames[:, :-stride]
    return earlier, later
