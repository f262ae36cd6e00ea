"""A folder of downloaded files under a bound, shared by all processes of a machine."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.errors import DataError
from data_pipelines.shards.file_lock import locked, open_lock, release, try_lock

_PARTIAL = ".part"
_LOCK = ".lock"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardCache:
    """Whole files by name; the least recently used ones are removed to make room.

    Files that readers still have open keep their disk space until they are closed.

    Attributes:
        folder: made where missing; other files in it are left alone.
        max_bytes: of all files together, those being downloaded included.
    """

    folder: Path
    max_bytes: int

    def path_of(self, name: str) -> Path:
        """Where the file of that name lies when it is there."""
        return self.folder / "files" / name

    def check(self) -> None:
        """Find out before training whether files can be written.

        Raises:
            DataError: they cannot.
        """
        probe = self.folder / "files" / f"{_LOCK}-probe"
        try:
            probe.parent.mkdir(parents=True, exist_ok=True)
            probe.touch()
        except OSError as error:
            raise DataError(
                f"cannot write to the cache of remote shards {self.folder}: {error.strerror}; set "
                "data.cache_dir to another folder"
            ) from error

    def hold(self, name: str, size: int, download: Callable[[Path], None]) -> Path:
        """The file of that name, downloaded if it is not there; marked as used now.

        Args:
            size: in bytes, of the whole file.
            download: writes it to a path.
        Raises:
            DataError: it is larger than the cache, or the folder cannot be written; and whatever
                ``download`` raises.
        """
        target = self.path_of(name)
        if _is_whole(target, size):
            return target
        if size > self.max_bytes:
            raise DataError(
                f"{name} has {size / 1e9:.2f} GB, the cache holds {self.max_bytes / 1e9:.2f}; "
                "raise data.cache_gb"
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with self._partial(target) as partial:
                if not _is_whole(target, size):
                    self._make_room(partial, size)
                    download(partial)
                    _flush(partial)
                    partial.replace(target)
        except OSError as error:
            reason = error.strerror or str(error)
            advice = "free space" if error.errno == errno.ENOSPC else "mend permissions"
            raise DataError(
                f"cannot write to {self.folder}: {reason}; {advice}, or set data.cache_dir"
            ) from error
        return target

    @contextmanager
    def _partial(self, target: Path) -> Iterator[Path]:
        """The unfinished file, for one process or thread at a time; removed after an error."""
        partial = target.with_name(target.name + _PARTIAL)
        with locked(target.parent / f"{_LOCK}-{_number_of(target)}"):
            try:
                yield partial
            finally:
                partial.unlink(missing_ok=True)

    def _make_room(self, partial: Path, size: int) -> None:
        """Remove files until ``size`` bytes fit, and reserve them."""
        with locked(partial.parent / _LOCK):
            files = [
                (status.st_mtime_ns, status.st_size, path)
                for path in partial.parent.iterdir()
                if not path.name.startswith(_LOCK) and (status := _status(path)) is not None
            ]
            used = sum(bytes_ for _, bytes_, _ in files)
            for _, bytes_, path in sorted(files):
                if used + size <= self.max_bytes:
                    break
                if path.suffix != _PARTIAL or _is_abandoned(path):
                    path.unlink(missing_ok=True)
                    used -= bytes_
            with partial.open("wb") as stream:
                os.truncate(stream.fileno(), size)


def _number_of(target: Path) -> str:
    """Few lock files serve all names; two names may share one, which costs only time."""
    return target.name[:2]


def _is_abandoned(partial: Path) -> bool:
    """Whether the download that began this file is over, killed in the middle."""
    lock = partial.parent / f"{_LOCK}-{_number_of(partial)}"
    descriptor = open_lock(lock)
    if not try_lock(descriptor):
        os.close(descriptor)
        return False
    release(descriptor)
    return True


def _is_whole(target: Path, size: int) -> bool:
    """Whether the file is there; its time of use is then now."""
    with suppress(FileNotFoundError):
        if target.stat().st_size == size:
            os.utime(target)
            return True
    return False


def _status(path: Path) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        return path.stat()
    return None


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
