"""What a finished run of a study left on the disk, read with one line for all that can be wrong."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import read_json
from eval.errors import EvaluationError


def read_result(path: Path, *, study: str) -> dict[str, Any]:
    """The result of a run.

    Args:
        study: what it should be of, for the message: "noise".
    Raises:
        EvaluationError: it cannot be read, or is none.
    """
    try:
        data = read_json(path)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} cannot be read: {error}; delete its folder") from error
    if not isinstance(data, dict) or "digest" not in data:
        raise EvaluationError(f"{path} is no result of a {study} study; delete its folder")
    return data


@contextmanager
def refusing_damage(folder: Path, *, run: str = "run") -> Iterator[None]:
    """Whatever damaged files of a run raise becomes one line.

    Args:
        run: what the study calls one, for the message.
    Raises:
        EvaluationError: something of that kind was raised.
    """
    try:
        yield
    except (
        OSError,
        KeyError,
        TypeError,
        ValueError,
        EOFError,
        MemoryError,
        ArithmeticError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise EvaluationError(
            f"{folder} is damaged ({type(error).__name__}: {error}); delete it and run the "
            f"study again, which repeats this {run} only"
        ) from error
