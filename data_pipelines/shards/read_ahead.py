"""Downloading remote shards before they are read, in threads of their own."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate

from data_pipelines.errors import DataError
from data_pipelines.shards.remote import CachedShard
from data_pipelines.shards.shard_set import Shard

_THREADS = 4
_SHARE = 0.8  # of the cache that may be fetched ahead, so that nothing in use makes room for it


class ReadAhead:
    """Fetches the shards that will be wanted soon, most urgent first.

    Errors are left to the reader, who meets them again. Nothing is started for local shards.

    Args:
        shards: numbered as in ``want``.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._remote = {n: s for n, s in enumerate(shards) if isinstance(s, CachedShard)}
        self._wanted: list[int] = []
        self._taken: set[int] = set()
        self._changed = threading.Condition()
        for _ in range(_THREADS if self._remote else 0):
            threading.Thread(target=self._work, daemon=True, name="read-ahead").start()

    @property
    def is_needed(self) -> bool:
        """Whether any shard is remote."""
        return bool(self._remote)

    def want(self, numbers: Sequence[int]) -> None:
        """Shards to have at hand from now on, in the order of their use."""
        remote = [number for number in numbers if number in self._remote]
        sizes = accumulate(self._remote[number].stamp.size for number in remote)
        fitting = [
            number
            for number, size in zip(remote, sizes, strict=True)
            if size <= _SHARE * self._remote[number].cache.max_bytes
        ]
        with self._changed:
            self._wanted = fitting
            self._taken &= set(fitting)
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while (number := self._next()) is None:
                    self._changed.wait()
                self._taken.add(number)
            with suppress(DataError):
                self._remote[number].fetch()

    def _next(self) -> int | None:
        return next((number for number in self._wanted if number not in self._taken), None)
