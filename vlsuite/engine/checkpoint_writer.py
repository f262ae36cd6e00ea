"""Checkpoints written by a thread of their own while training goes on."""

import threading
from pathlib import Path

from vlsuite.engine.checkpoint import Snapshot, prune, write_checkpoint
from vlsuite.errors import CheckpointError


class CheckpointWriter:
    """Writes one snapshot at a time, in the background.

    The training loop waits only where the former checkpoint is not on the disk yet. A failed
    write is raised from the next call in the loop's own thread.

    Args:
        folder: holds all checkpoints of the run.
        keep, keep_hours: which of them stay, see ``to_keep``.
    """

    def __init__(self, folder: Path, *, keep: int, keep_hours: float | None) -> None:
        self._folder = folder
        self._keep = keep
        self._keep_hours = keep_hours
        self._thread: threading.Thread | None = None
        self._error: CheckpointError | None = None

    def submit(self, snapshot: Snapshot) -> None:
        """Begin to write ``snapshot``, after the one before it is finished.

        Raises:
            CheckpointError: that one could not be written.
        """
        self.finish()
        self._thread = threading.Thread(
            target=self._write, args=(snapshot,), name="checkpoint-writer"
        )
        self._thread.start()

    def check(self) -> None:
        """Report a write that failed meanwhile.

        Raises:
            CheckpointError: the disk is full or not writable.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def finish(self) -> None:
        """Wait until nothing is being written.

        Raises:
            CheckpointError: the last write failed.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def _write(self, snapshot: Snapshot) -> None:
        try:
            write_checkpoint(self._folder, snapshot)
            prune(self._folder, keep=self._keep, keep_hours=self._keep_hours)
        except CheckpointError as error:
            self._error = error
        except Exception as error:  # anything else would vanish with the thread
            self._error = CheckpointError(
                f"cannot write a checkpoint to {self._folder}: {error!r}; continue with --resume"
            )
