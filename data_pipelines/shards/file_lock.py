"""Locks between processes of one machine, held through an open file."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` (made where missing) until the block ends.

    Raises:
        OSError: the file cannot be made.
    """
    descriptor = open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        release(descriptor)


def open_lock(path: Path) -> int:
    """The open lock file ``path``, made where missing.

    Raises:
        OSError: it cannot be made.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file unless another holds it; whether that worked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def release(descriptor: int) -> None:
    """Give up the lock and close the file.

    Closing alone would not do: a child process forked meanwhile holds the same open file.
    """
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
