"""A file of events that TensorBoard shows, written at once and by this thread.

TensorBoard's own writer hands events to a thread, which on a full disk ends with a traceback of its
own. The format: records of length, its checksum, an Event, its checksum
(tensorboard/summary/writer/record_writer.py), under a name that holds "tfevents".
"""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from vlsuite.errors import RunFolderError

_VERSION = "brain.Event:2"
_numbers = count()


class EventFile:
    """Scalars and pictures of a run, one new file for each time it is started.

    Args:
        folder: made where missing; TensorBoard shows all files in it as one run.
        purge_step: events of earlier files from this step on are not shown any more.
    Raises:
        RunFolderError: the file cannot be written.
    """

    def __init__(self, folder: Path, *, purge_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[attr-defined]
        from tensorboard.summary.writer.record_writer import RecordWriter

        name = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._path = folder / f"events.out.tfevents.{name}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb", buffering=0)
        except OSError as error:
            raise self._unwritable(error) from error
        self._records = RecordWriter(self)
        now = time.time()
        self._add(Event(wall_time=now, file_version=_VERSION))
        start = SessionLog(status=SessionLog.START)
        self._add(Event(wall_time=now, step=purge_step, session_log=start))

    def add(self, values: Mapping[str, float], *, step: int) -> None:
        """Append scalars of one step.

        Raises:
            RunFolderError: the disk is full or gone.
        """
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]

        shown = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self.add_values(shown, step=step)

    def add_values(self, values: Sequence[Any], *, step: int) -> None:
        """Append ``Summary.Value`` messages of one step: pictures, layouts of charts.

        Raises:
            RunFolderError: the disk is full or gone.
        """
        from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[attr-defined]
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]

        self._add(Event(wall_time=time.time(), step=step, summary=Summary(value=list(values))))

    def write(self, data: bytes) -> None:
        """Append one record, whole unless the disk refuses.

        Raises:
            RunFolderError: the disk is full or gone.
        """
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the file.

        Raises:
            RunFolderError: the disk is full or gone.
        """
        try:
            self._file.close()
        except OSError as error:
            raise self._unwritable(error) from error

    def _add(self, event: Any) -> None:
        self._records.write(event.SerializeToString())

    def _unwritable(self, error: OSError) -> RunFolderError:
        return RunFolderError(
            f"cannot write {self._path}: {error.strerror or error}; free some disk, then continue "
            f"the run with --resume"
        )
