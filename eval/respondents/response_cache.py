"""Paid answers on disk: a request that was answered once is never sent again."""

import json
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from data_pipelines.bounded_json import parsed_json
from data_pipelines.errors import DataError
from data_pipelines.printable import json_text
from data_pipelines.shards.atomic import make_folder, write_file
from eval.errors import EvaluationError
from eval.respondents.cost import count_of

_COUNTS = ("input_tokens", "output_tokens")


@runtime_checkable
class AnswerStore(Protocol):
    """Where answers are kept once they are paid."""

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer to the request of this digest; None where there is none."""
        ...

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Store an answer, on disk when this returns."""
        ...


class ResponseCache:
    """One file an answer, named by the digest of its request; files appear whole or not at all.

    Several commands may share one folder.

    Args:
        folder: made where missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> dict[str, Any] | None:
        """The stored answer; None where there is none, or where its file is damaged.

        Raises:
            EvaluationError: the file is there and cannot be read.
        """
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise EvaluationError(
                f"cannot read the response cache {self.folder}: {error.strerror or error}; mend "
                "its permissions or choose another --cache"
            ) from error
        try:
            answer = parsed_json(data)
        except ValueError:
            return None
        return checked_answer(answer)

    def put(self, key: str, answer: dict[str, Any]) -> None:
        """Store an answer, on disk when this returns.

        Raises:
            DataError: the folder cannot be written or the disk is full.
        """
        path = self._path(key)
        make_folder(path.parent)
        try:
            told = json.dumps(answer, ensure_ascii=False, sort_keys=True)
            write_file(path, json_text(told).encode())
        except DataError:
            if self.get(key) is None:  # else another command stored the same answer meanwhile
                raise

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def checked_answer(stored: Any) -> dict[str, Any] | None:
    """A stored answer with counts that are counts; None where it is none."""
    if not isinstance(stored, dict):
        return None
    counts = {name: count_of(stored[name]) for name in _COUNTS if name in stored}
    return {**stored, **counts}
