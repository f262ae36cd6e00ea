"""The files of a run by name, and what ``run.json`` says; light to import, for ``why``."""

from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import MOST_ANNOTATION_BYTES, MOST_ANNOTATIONS, read_json
from data_pipelines.errors import DataError

#: Names inside the folder of a run.
RUN_NAME, KEPT_NAME, LINEAGE = "run.json", "kept.parquet", "lineage"

#: Raised when the meaning of a file changes.
RUN_VERSION = 1


def stored_run(folder: Path) -> dict[str, Any]:
    """What ``run.json`` of a finished run says.

    Raises:
        DataError: there is none, or it is of another version.
    """
    path = folder / RUN_NAME
    try:
        stored = read_json(path, most_values=MOST_ANNOTATIONS, most_bytes=MOST_ANNOTATION_BYTES)
        version = stored["format_version"] if stored["tool"] == "vlsuite" else None
    except FileNotFoundError:
        raise DataError(
            f"{folder} holds no finished run of 'vlsuite curate run'; run it (again)"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read: {error}; run the recipe again") from error
    if version != RUN_VERSION:
        raise DataError(f"{path} is of another version of vlsuite; run the recipe again")
    return stored
