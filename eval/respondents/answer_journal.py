"""Paid answers of one piece of work in one file, a line each, until they are stored elsewhere.

Where millions of short answers come in, a file for each (``response_cache``) would be most of the
disk. A line that a kill or a full disk cut off is dropped, and its request asked again.
"""

import json
import os
from pathlib import Path
from typing import Any, BinaryIO

from data_pipelines.bounded_json import parsed_record
from data_pipelines.errors import DataError
from data_pipelines.printable import json_text
from data_pipelines.shards.atomic import make_folder
from eval.respondents.response_cache import checked_answer

_KEY = "key"


class AnswerJournal:
    """An ``AnswerStore``; one command at a time may hold one. To be closed.

    Args:
        path: of the file, made where missing.
    Raises:
        DataError: it cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        make_folder(path.parent)
        try:
            self._stream: BinaryIO = path.open("a+b")
            self._answers, whole = _read(self._stream)
            self._stream.truncate(whole)
        except OSError as error:
            raise _unwritable(path, error) from error

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> dict[str, Any] | None:
        """See ``AnswerStore``."""
        return self._answers.get(key)

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """See ``AnswerStore``.

        Raises:
            DataError: the disk refuses.
        """
        line = json_text(json.dumps({_KEY: key, **answer}, ensure_ascii=False, sort_keys=True))
        try:
            self._stream.write(f"{line}\n".encode())
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error
        self._answers[key] = answer

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def kept_answers(path: Path) -> dict[str, dict[str, Any]]:
    """The answers of a file by their keys; it is left as it is, another command may be writing it.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return _read(stream)[0]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}; mend permissions, then run the same "
            "command again"
        ) from error


def _read(stream: BinaryIO) -> tuple[dict[str, dict[str, Any]], int]:
    """The answers, and the bytes of their lines."""
    answers: dict[str, dict[str, Any]] = {}
    whole = 0
    stream.seek(0)
    for line in stream:
        answer = _answer(line)
        key = None if answer is None else answer.pop(_KEY, None)
        if answer is None or not isinstance(key, str):
            break
        answers[key] = answer
        whole += len(line)
    return answers, whole


def _answer(line: bytes) -> dict[str, Any] | None:
    """None for a line that is cut off or damaged."""
    try:
        return checked_answer(parsed_record(line)) if line.endswith(b"\n") else None
    except ValueError:
        return None


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot write {path}: {error.strerror or error}; free space or mend permissions, then run "
        "the same command again"
    )
