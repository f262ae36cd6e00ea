"""The log of asked questions: a header line, then one response a line, appended as they come."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import parsed_json
from data_pipelines.field_types import check_fields
from data_pipelines.printable import json_text
from data_pipelines.shards.atomic import make_folder
from data_pipelines.shards.file_lock import release, try_lock
from eval.errors import EvaluationError
from eval.respondents.response import Response

#: Version of the log; raised whenever a field changes its meaning.
LOG_VERSION = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LogHeader:
    """What all responses of a log have in common.

    Args:
        question_set: its name.
        revision: of the question set.
        respondent: name of the model.
        fingerprint: of the respondent.
        style: of the prompts; empty for models that get none.
        limit: how many questions were drawn by ``question_set.sample``; None for all.
        sample_seed: of that draw.
        omnibench_log: version of the log.
    """

    question_set: str
    revision: str
    respondent: str
    fingerprint: str
    style: str = ""
    limit: int | None = None
    sample_seed: int = 0
    omnibench_log: int = LOG_VERSION

    def to_json(self) -> str:
        """One line."""
        return json_text(json.dumps(asdict(self), ensure_ascii=False, sort_keys=True))


@dataclass(frozen=True, slots=True)
class Log:
    """A log as read.

    Args:
        header: see ``LogHeader``.
        responses: the last one of every (index, setting); earlier ones had failed.
    """

    header: LogHeader
    responses: Mapping[tuple[int, str], Response]


def read_log(path: Path) -> Log:
    """Read a log, also one that is being written or was cut off in its last line.

    Raises:
        EvaluationError: it cannot be read, is no log, or a line before the last is broken.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EvaluationError(
            f"cannot read the log {path}: {error.strerror or error}; name the responses.jsonl "
            "that 'vlsuite omnibench run' wrote"
        ) from error
    return parse_log(data[: data.rfind(b"\n") + 1], where=str(path))


def parse_log(data: bytes, *, where: str) -> Log:
    """The log in whole lines; see ``read_log``."""
    lines = data.split(b"\n")[:-1]
    if not lines:
        raise EvaluationError(f"{where} is empty; run 'vlsuite omnibench run' again")
    header = _header(lines[0], where)
    responses: dict[tuple[int, str], Response] = {}
    for number, line in enumerate(lines[1:], start=2):
        response = Response.from_dict(_object(line, where, number), where=f"{where}:{number}")
        responses[response.index, response.setting] = response
    return Log(header, responses)


def _header(line: bytes, where: str) -> LogHeader:
    data = _object(line, where, 1)
    if data.get("omnibench_log") != LOG_VERSION:
        raise EvaluationError(
            f"{where} is no log of this version (omnibench_log {data.get('omnibench_log')!r}, "
            f"expected {LOG_VERSION}); ask again with another --out"
        )
    try:
        header = LogHeader(**data)
        check_fields(header)
    except (TypeError, ValueError, AttributeError) as error:
        raise EvaluationError(f"{where}:1 is no header of a log: {error}") from error
    return header


def _object(line: bytes, where: str, number: int) -> dict[str, Any]:
    try:
        data = parsed_json(line)
    except ValueError as error:
        raise EvaluationError(
            f"{where}:{number} is no JSON ({error}); delete that line and ask again"
        ) from error
    if not isinstance(data, dict):
        raise EvaluationError(f"{where}:{number} holds no object; delete that line and ask again")
    return data


class LogWriter:
    """Appends responses; each is with the operating system before the next one is taken."""

    def __init__(self, descriptor: int, path: Path, log: Log) -> None:
        self._descriptor = descriptor
        self._path = path
        self.log = log
        self.num_added = 0

    def append(self, response: Response) -> None:
        """Add one line.

        Raises:
            EvaluationError: the disk is full.
        """
        _write(self._descriptor, response.to_json(), self._path)
        self.num_added += 1


@contextmanager
def appending(path: Path, header: LogHeader) -> Iterator[LogWriter]:
    """Begin a log or go on with one, alone; a torn last line is cut off.

    A new one that an error ends before the first response is removed, and its folder where that
    is new too: the corrected command may have another model.

    Raises:
        EvaluationError: another command writes it, it was begun with other settings, or it
            cannot be written.
    """
    is_new_folder = not path.parent.exists()
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise EvaluationError(f"cannot write the log {path}: {error.strerror}") from error
    if not try_lock(descriptor):
        os.close(descriptor)
        raise EvaluationError(
            f"another command is writing {path}; wait for it, or choose another --out"
        )
    if not os.fstat(descriptor).st_nlink:
        release(descriptor)
        raise EvaluationError(f"{path} was removed just now by another command; try again")
    is_new = not os.fstat(descriptor).st_size
    try:
        writer = LogWriter(descriptor, path, _begun(descriptor, path, header))
        try:
            yield writer
        except BaseException:
            if is_new and not writer.num_added:
                _remove(path, and_folder=is_new_folder)
            raise
        os.fsync(descriptor)
    finally:
        release(descriptor)


def _remove(path: Path, *, and_folder: bool) -> None:
    path.unlink(missing_ok=True)
    if and_folder:
        with suppress(OSError):  # not empty: someone else's files
            path.parent.rmdir()


def _begun(descriptor: int, path: Path, header: LogHeader) -> Log:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.ftruncate(descriptor, whole)
    if not whole:
        _write(descriptor, header.to_json(), path)
        return Log(header, {})
    log = parse_log(data[:whole], where=str(path))
    _refuse_other(log.header, header, path)
    return log


def _refuse_other(begun: LogHeader, header: LogHeader, path: Path) -> None:
    told = {
        "revision": "question set",
        "respondent": "model",
        "style": "prompt style",
        "limit": "limit",
        "sample_seed": "sample seed",
        "fingerprint": "model or its parameters",
    }
    for key, what in told.items():
        before, now = getattr(begun, key), getattr(header, key)
        if before != now:
            raise EvaluationError(
                f"{path} was begun with another {what} ({_short(before)}, now {_short(now)}); use "
                "the same settings or another --out (cached answers cost nothing)"
            )


def _short(value: Any) -> str:
    return str(value)[:40] if value != "" else "none"


def _write(descriptor: int, line: str, path: Path) -> None:
    data = f"{line}\n".encode()
    try:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError as error:
        raise EvaluationError(
            f"cannot write {path}: {error.strerror}; free space, then run the same command again"
        ) from error
