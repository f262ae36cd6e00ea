"""Logs of one JSON object a line, which a resumed run cuts back to where it continues."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import parsed_json
from vlsuite.errors import RunFolderError


class JsonLines:
    """Appends one object a line; a kill may leave half a line at the end, which rewind removes.

    Args:
        path: made with its folder where missing.
    Raises:
        RunFolderError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise _unwritable(path, error) from error

    def write(self, values: Mapping[str, Any]) -> None:
        """Append one line and hand it to the operating system.

        Raises:
            RunFolderError: the disk is full or gone.
        """
        try:
            self._file.write(json.dumps(values) + "\n")
            self._file.flush()
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as error:
            raise _unwritable(self._path, error) from error


def rewind(path: Path, *, step: int) -> None:
    """Cut a log back to the lines of ``step`` and before; half a line at its end goes too.

    Raises:
        RunFolderError: the file cannot be rewritten.
    """
    if not path.is_file():
        return
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with path.open(encoding="utf-8", errors="replace") as old, temporary.open("w") as new:
            new.writelines(line for line in old if _is_until(line, step))
            new.flush()
            os.fsync(new.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def _is_until(line: str, step: int) -> bool:
    try:
        return line.endswith("\n") and int(parsed_json(line)["step"]) <= step
    except (ValueError, KeyError, TypeError, OverflowError):
        return False


def _unwritable(path: Path, error: OSError) -> RunFolderError:
    return RunFolderError(
        f"cannot write {path}: {error.strerror or error}; free some disk, then continue the run "
        f"with --resume"
    )
