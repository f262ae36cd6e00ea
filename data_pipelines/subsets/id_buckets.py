"""Ids of 128 bits sorted on the disk: many more than fit into memory.

They are dealt by their first bits into files that fit, each of which is sorted by itself.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import UInt64

from data_pipelines.errors import DataError
from data_pipelines.subsets.uid_list import DTYPE, as_entries

#: Ids that are sorted at a time, about; 16 bytes each, and three times as much while they are.
BUCKET_IDS = 1 << 21

_MOST_BUCKETS = 512  # files that are open at a time


class IdBuckets:
    """Takes ids in any order and gives them back sorted. A context: its files go with it.

    Args:
        expected: how many there will be, about.
        folder: for the files, 16 bytes an id.
        bucket_ids: that are sorted at a time.
    Raises:
        DataError: the folder cannot be written.
    """

    def __init__(self, expected: int, *, folder: Path, bucket_ids: int = BUCKET_IDS) -> None:
        self._num_buckets = min(_MOST_BUCKETS, max(1, -(-expected // bucket_ids)))
        self._stack = ExitStack()
        try:
            self._place = Path(self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix=".ids-", dir=folder)
            ))  # fmt: skip
            self._files = [
                self._stack.enter_context((self._place / f"{number}").open("w+b"))
                for number in range(self._num_buckets)
            ]
        except OSError as error:
            self._stack.close()
            raise DataError(f"cannot write to {folder}: {error.strerror or error}") from error

    def __enter__(self) -> "IdBuckets":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, ids: UInt64[np.ndarray, "ids 2"]) -> None:
        """Take ids.

        Raises:
            DataError: the disk refuses.
        """
        # The top 32 bits, spread over the buckets evenly and in their order.
        numbers = (ids[:, 0] >> np.uint64(32)) * np.uint64(self._num_buckets) >> np.uint64(32)
        order = np.argsort(numbers, kind="stable")
        bounds = np.searchsorted(numbers[order], np.arange(self._num_buckets + 1))
        try:
            for number in np.flatnonzero(np.diff(bounds)).tolist():
                own = ids[order[bounds[number] : bounds[number + 1]]]
                self._files[number].write(np.ascontiguousarray(own).tobytes())
        except OSError as error:
            raise DataError(
                f"cannot write to {self._place.parent}: {error.strerror or error}; free space"
            ) from error

    def sorted(self) -> Iterator[np.ndarray]:
        """All ids in rising order, of dtype ``u8,u8``, some at a time."""
        for file in self._files:
            file.flush()
            file.seek(0)
            ids = np.frombuffer(file.read(), dtype=np.uint64).reshape(-1, 2)
            yield as_entries(ids) if len(ids) else np.empty(0, dtype=DTYPE)
