"""What decoding processes are reading at this moment, for the message about a stall."""

import time

import numpy as np
import torch
from torch.utils.data import get_worker_info


class Reading:
    """What each worker is reading now, in memory shared with the main process.

    Args:
        num_workers: at least 1.
    """

    def __init__(self, num_workers: int) -> None:
        self._table = torch.zeros(num_workers, 2, dtype=torch.int64).share_memory_()

    def begin(self, position: int) -> None:
        """Called in a worker when it starts to read."""
        worker = get_worker_info()
        if worker is not None:
            self._rows[worker.id] = position, time.monotonic_ns()

    def end(self) -> None:
        """Called in a worker when it has read."""
        worker = get_worker_info()
        if worker is not None:
            self._rows[worker.id, 1] = 0

    def longest(self) -> tuple[int, float] | None:
        """The position that some worker has been reading for longest, and seconds since then."""
        busy = [(since, position) for position, since in self._rows.tolist() if since]
        if not busy:
            return None
        since, position = min(busy)
        return position, (time.monotonic_ns() - since) / 1e9

    @property
    def _rows(self) -> np.ndarray:
        return self._table.numpy()
