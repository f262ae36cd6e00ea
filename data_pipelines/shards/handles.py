"""A bounded set of open shard files, so that thousands of shards need few descriptors."""

import os
import threading
from collections import OrderedDict
from pathlib import Path

from data_pipelines.errors import ShardError


class _OpenFile:
    """One descriptor, closed when the last user lets go of it."""

    __slots__ = ("descriptor",)

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            os.close(self.descriptor)


class FileHandles:
    """Positioned reads from many files, keeping the most recently used ones open.

    Reads carry their own position, so handles may be shared by threads and inherited by forked
    processes. A file that leaves the set while another thread reads it stays open until that
    read ends.

    Args:
        limit: number of files kept open.
    """

    def __init__(self, limit: int = 128) -> None:
        self._limit = limit
        self._open: OrderedDict[Path, _OpenFile] = OrderedDict()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def read(self, path: Path, *, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes of ``path`` from byte ``offset``.

        Raises:
            ShardError: the file is missing, unreadable, or shorter than it was when indexed.
        """
        try:
            handle = self._get(path)
            data = os.pread(handle.descriptor, size, offset)
            while len(data) < size:
                more = os.pread(handle.descriptor, size - len(data), offset + len(data))
                if not more:
                    raise ShardError(
                        f"{path} ends at byte {offset + len(data)}, {offset + size} were indexed; "
                        "it changed since: delete its .index.npz file and start again"
                    )
                data += more
        except OSError as error:
            raise ShardError(f"cannot read {path}: {error.strerror}") from error
        return data

    def close_deleted(self) -> None:
        """Close files that have no name any more, so that their disk space is freed."""
        with self._lock:
            for path, handle in list(self._open.items()):
                if os.fstat(handle.descriptor).st_nlink == 0:
                    del self._open[path]

    def _get(self, path: Path) -> _OpenFile:
        with self._lock:
            handle = self._open.pop(path, None) or _OpenFile(path)
            self._open[path] = handle
            if len(self._open) > self._limit:
                self._open.popitem(last=False)
            return handle

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()
