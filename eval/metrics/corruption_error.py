"""Error under corruptions relative to AlexNet's: CE, mCE and relative mCE.

Hendrycks and Dietterich 2019, arXiv 1903.12261, section 4.1. E is a top-1 error, s a severity
from 1 to 5:

    CE_c = sum_s E_sc / sum_s E^AlexNet_sc,                            mCE = mean of 15 CE_c
    relative CE_c = sum_s (E_sc - E_clean) / sum_s (E^AlexNet_sc - E^AlexNet_clean)

The reference errors were measured on the published files of ImageNet-C. Divided by them, figures
from corruptions applied in memory or on other data are on the same scale, but they are not the
published benchmark and do not compare with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from eval.errors import EvaluationError
from eval.metrics.alexnet_error import ALEXNET_CLEAN_ERROR, ALEXNET_ERROR, NUM_SEVERITIES
from eval.metrics.intervals import mean_score
from eval.results import Score


class CorruptionError(NamedTuple):
    """Errors over AlexNet's; 1 means as bad as AlexNet.

    Attributes:
        mean_error: plain mean of the 75 errors, in [0, 1].
        ce: CE of each corruption.
        mce: their mean.
        relative_ce: relative CE of each corruption; empty without a clean error.
        relative_mce: their mean; None without a clean error.
    """

    mean_error: float
    ce: dict[str, float]
    mce: float
    relative_ce: dict[str, float]
    relative_mce: float | None


def corruption_error(
    errors: Mapping[str, Sequence[float]], *, clean_error: float | None = None
) -> CorruptionError:
    """CE, mCE and relative mCE of one model.

    Args:
        errors: top-1 error in [0, 1] at severities 1 to 5 of each of the 15 corruptions; others
            (speckle noise and the like) are not part of mCE and are ignored.
        clean_error: top-1 error in [0, 1] on the same pictures, cropped the same way, without
            corruption.
    Raises:
        EvaluationError: cells are missing or are no shares.
    """
    _refuse_incomplete(errors)
    means = {name: float(np.mean(errors[name])) for name in ALEXNET_ERROR}
    ce = {name: means[name] / (ALEXNET_ERROR[name] / 100) for name in ALEXNET_ERROR}
    relative_ce: dict[str, float] = {}
    if clean_error is not None:
        relative_ce = {
            name: (means[name] - clean_error) / ((ALEXNET_ERROR[name] - ALEXNET_CLEAN_ERROR) / 100)
            for name in ALEXNET_ERROR
        }
    return CorruptionError(
        mean_error=float(np.mean(list(means.values()))),
        ce=ce,
        mce=float(np.mean(list(ce.values()))),
        relative_ce=relative_ce,
        relative_mce=float(np.mean(list(relative_ce.values()))) if relative_ce else None,
    )


def mce_score(is_wrong: Mapping[str, Bool[np.ndarray, "severities images"]], *, seed: int) -> Score:
    """mCE with its 95% interval over images; an image counts with all its 75 corrupted forms.

    Args:
        is_wrong: whether the top-1 prediction is wrong, for the same images in every cell.
        seed: of the draws.
    Raises:
        EvaluationError: cells are missing, or have different numbers of images.
    """
    errors = {name: list(np.mean(cells, axis=1)) for name, cells in is_wrong.items() if cells.size}
    value = corruption_error(errors).mce
    sizes = {is_wrong[name].shape[1] for name in ALEXNET_ERROR}
    if len(sizes) > 1:
        raise EvaluationError(
            f"the corruptions have {min(sizes)} to {max(sizes)} images; evaluate the same images "
            "under each"
        )
    # mCE is a mean over images of what each one contributes.
    shares = np.mean(
        [is_wrong[name].mean(axis=0) / (ALEXNET_ERROR[name] / 100) for name in ALEXNET_ERROR],
        axis=0,
    )
    most = float(np.mean([100 / error for error in ALEXNET_ERROR.values()]))
    found = mean_score(shares, np.arange(len(shares)), seed=seed, unit="ratio", bounds=(0.0, most))
    return replace(found, value=value, lower_is_better=True)


def _refuse_incomplete(errors: Mapping[str, Sequence[float]]) -> None:
    missing = [
        name if name not in errors else f"{name} ({len(errors[name])} of {NUM_SEVERITIES})"
        for name in ALEXNET_ERROR
        if len(errors.get(name, ())) != NUM_SEVERITIES
    ]
    if missing:
        raise EvaluationError(
            f"mCE needs 15 corruptions at {NUM_SEVERITIES} severities and misses "
            f"{', '.join(missing)}; evaluate those too"
        )
    no_shares = [
        name for name in ALEXNET_ERROR if not all(0 <= error <= 1 for error in errors[name])
    ]
    if no_shares:
        raise EvaluationError(
            f"errors of {', '.join(no_shares)} are not in [0, 1]; give shares, not percent"
        )
