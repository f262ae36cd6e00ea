"""Why a view cannot be made of a picture: asked again of those that gave none."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int64

from data_pipelines.errors import BadSampleError, DataError, ShardError
from eval.data.dataset import EvalDataset
from eval.data.raw_image import RawImage
from eval.data.views import Frame, ImageTransform

_BROKEN = "image cannot be decoded"


def why_unusable(
    dataset: EvalDataset, row: int, frame: Frame, transform: ImageTransform
) -> DataError | None:
    """What making this frame of a picture ends in; None where it can be made.

    Raises:
        ShardError: the shard changed or vanished since it was opened.
    """
    images = dataset.images
    try:
        frame(RawImage(images.members(row), int(images.image_ids[row])), transform)
    except ShardError:
        raise
    except DataError as error:
        return error
    return None


def unusable_by_reason(
    dataset: EvalDataset,
    rows: Int64[np.ndarray, " rows"],
    frames: Sequence[Frame],
    transform: ImageTransform,
    *,
    reasons: dict[str, str],
) -> dict[str, int]:
    """How many of these pictures fail for which reason, by the first frame that cannot be made.

    Args:
        dataset: of the pictures.
        rows: numbers of those that gave no picture in one of the frames.
        frames: what is made of each picture.
        transform: the model's.
        reasons: what to call them, by the kind of ``BadSampleError``; any other kind counts as an
            image that cannot be decoded.
    Raises:
        ShardError: see ``why_unusable``.
    """
    counts: dict[str, int] = {}
    for row in rows.tolist():
        error = _first(why_unusable(dataset, row, frame, transform) for frame in frames)
        kind = error.kind if isinstance(error, BadSampleError) else ""
        reason = reasons.get(kind, _BROKEN)
        counts[reason] = counts.get(reason, 0) + 1
    return counts


def _first(errors: Iterable[DataError | None]) -> DataError | None:
    return next((error for error in errors if error is not None), None)
