"""Files that appear whole or not at all: temporary name, fsync, rename."""

import fcntl
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from data_pipelines.errors import DataError

#: End of the hidden names of unfinished files; the next run removes those of an interrupted one.
TEMPORARY_SUFFIX = ".unfinished"

#: A shard is written in less; then its last bytes are flushed, which takes seconds.
_ABANDONED_SECONDS = 24 * 3600
_TEMPORARY = re.compile(rf"\..+\.[0-9a-f]{{32}}{re.escape(TEMPORARY_SUFFIX)}", re.DOTALL)
_looked_through: set[str] = set()


class NewFile:
    """A file being written: passes bytes on, counts and hashes them."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path = path
        self._stream = stream
        self._digest = hashlib.sha256()
        self._is_discarded = False
        self.size = 0

    def discard(self) -> None:
        """Ignore all further writes: archives flush their tail even after a failure."""
        self._is_discarded = True

    def write(self, data: bytes) -> int:
        """Append ``data``; returns its length.

        Raises:
            DataError: the disk refuses (full, quota, read-only).
        """
        if self._is_discarded:
            return len(data)
        self._digest.update(data)
        self.size += len(data)
        try:
            return self._stream.write(data)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written so far, in hexadecimal."""
        return self._digest.hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[NewFile]:
    """Write to a temporary file that takes the name ``path`` when the block ends without error.

    Several writers of one path do not see each other: the last one to end stays, whole.

    Raises:
        DataError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        _remove_abandoned(path.parent)
        stream = temporary.open("xb")
        with suppress(OSError):  # a file system without locks: age alone counts there
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise _unwritable(path, error) from error
    file = NewFile(path, stream)
    try:
        yield file
        _close(path, stream)
        _rename(temporary, path)
    except BaseException:
        file.discard()
        with suppress(OSError):
            stream.close()
        temporary.unlink(missing_ok=True)
        raise


def write_file(path: Path, content: bytes) -> NewFile:
    """Write a small file whole or not at all.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    with replacing(path) as file:
        file.write(content)
    return file


def make_folder(path: Path) -> None:
    """Create a folder and its parents where missing.

    Raises:
        DataError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk.

    Raises:
        OSError: the folder is gone, or the disk fails.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed writers left in a folder at once, where locks tell that they are gone."""
    for left in _unfinished(folder):
        with suppress(OSError), left.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _unfinished(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if _TEMPORARY.fullmatch(entry.name)]


def _remove_abandoned(folder: Path) -> None:
    """Temporary files of writers that were killed: old, and held by nobody; clocks may jump.

    Each process looks through a folder once, at its first write there.
    """
    if os.path.abspath(folder) in _looked_through:
        return
    _looked_through.add(os.path.abspath(folder))
    oldest = time.time() - _ABANDONED_SECONDS
    for left in _unfinished(folder):
        with suppress(FileNotFoundError):
            if left.stat().st_mtime < oldest and _is_held_by_nobody(left):
                left.unlink()


def _is_held_by_nobody(path: Path) -> bool:
    with path.open("rb") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def _close(path: Path, stream: BinaryIO) -> None:
    try:
        stream.flush()
        os.fsync(stream.fileno())
        stream.close()
    except OSError as error:
        raise _unwritable(path, error) from error


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> DataError:
    reason = error.strerror or str(error)
    return DataError(
        f"cannot write {path}: {reason}; free space, mend permissions or choose another folder"
    )
