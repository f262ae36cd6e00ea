"""How pictures are prepared in a run that goes on or is opened: as when it began."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

from data_pipelines.bounded_json import read_object
from vlsuite.errors import RunFolderError
from vlsuite.models.dual_encoder.published import PREPARATION

#: What every weights file got before it was looked up; open_clip's PreprocessCfg.
_BEFORE_RECORDS: dict[str, Any] = {
    "mean": OPENAI_DATASET_MEAN,
    "std": OPENAI_DATASET_STD,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def preparation_of(preprocess: Mapping[str, Any]) -> dict[str, Any]:
    """What of a model's preprocessing belongs to weights, as JSON values."""
    found = {key: preprocess[key] for key in PREPARATION if key in preprocess}
    return {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()}


def values_of_run(
    recorded: Mapping[str, Any] | None, *, weights_file: str | None
) -> tuple[dict[str, Any], str]:
    """The preparation of a run that began earlier.

    Args:
        recorded: of the run's resolved.json; None for a run from before there was one.
        weights_file: that today's values were looked up for; None where they were given.
    Returns:
        The values that differ from today's lookup, and a line for the terminal (or nothing).
    """
    if recorded is not None:
        return preparation_of(recorded), ""
    if weights_file is None:
        return {}, ""
    return dict(_BEFORE_RECORDS), (
        f"warning: this run began from {weights_file} before runs recorded how pictures are "
        f"prepared, and keeps open_clip's defaults of then (mean 0.481, 0.458, 0.408, bicubic, "
        f"shortest side)"
    )


def recorded_preparation(export: Path) -> dict[str, Any] | None:
    """What the run of an export recorded, or its export says; None where neither is there.

    Raises:
        RunFolderError: the record is damaged.
    """
    for path, key in (
        (export.parent / "resolved.json", None),
        (export / "open_clip_config.json", "preprocess_cfg"),
    ):
        if not path.is_file():
            continue
        try:
            told = read_object(path)
            return preparation_of(told if key is None else told.get(key, {}))
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise RunFolderError(
                f"cannot read {path}: {error}; restore it from a copy, or export the run again"
            ) from error
    return None
