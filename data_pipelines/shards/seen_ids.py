"""Which permanent ids were met before, in the memory of a few: older ones lie sorted on the disk.

Ids of 128 bits are gathered in a set; when it is full they are written as a sorted run. Runs of
about one length are merged, so that there are few, and of each run one id in 256 stays in memory,
which says where to look.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

import numpy as np

from data_pipelines.errors import DataError

#: Ids that stay in memory before they are written: about 98 bytes each.
RECENT_IDS = 1 << 17

_SIZE = 16  # bytes of an id
_KIND = np.dtype(f"S{_SIZE}")
_STEP = 256  # ids of a run that are read together
_BLOCK = 1 << 16  # ids that are merged at a time


class _Run(NamedTuple):
    """Sorted ids in a file, and every 256th of them."""

    file: BinaryIO
    length: int
    firsts: np.ndarray

    def holds(self, one: bytes) -> bool:
        block = int(self.firsts.searchsorted(np.array(one, dtype=_KIND), side="right")) - 1
        if block < 0:
            return False
        found = os.pread(self.file.fileno(), _STEP * _SIZE, block * _STEP * _SIZE)
        place = found.find(one)
        while place > 0 and place % _SIZE:
            place = found.find(one, place + 1)
        return place >= 0

    def blocks(self) -> Iterator[np.ndarray]:
        self.file.seek(0)
        while data := self.file.read(_BLOCK * _SIZE):
            yield np.frombuffer(data, dtype=_KIND)


class SeenIds:
    """Ids of 16 bytes that were met. A context: its files go with it.

    Args:
        folder: for the files, 16 bytes an id and twice that at times; None takes the system's
            folder for temporary files. Nothing is written for fewer ids than stay in memory.
        recent: ids that stay in memory.
    """

    def __init__(self, folder: Path | None = None, *, recent: int = RECENT_IDS) -> None:
        self._folder = folder
        self._most_recent = recent
        self._recent: set[bytes] = set()
        self._runs: list[_Run] = []
        self._stack = ExitStack()
        self._place: Path | None = None
        self._num_files = 0

    def __enter__(self) -> "SeenIds":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for run in self._runs:
            run.file.close()
        self._stack.close()

    def add(self, one: bytes) -> bool:
        """Whether an id is new; it is not any more.

        Raises:
            DataError: the disk refuses.
        """
        if one in self._recent or any(run.holds(one) for run in self._runs):
            return False
        self._recent.add(one)
        if len(self._recent) >= self._most_recent:
            try:
                self._spill()
            except OSError as error:
                raise DataError(
                    f"cannot keep the ids that were met in {self._place or self._folder}: "
                    f"{error.strerror or error}; free space, or set TMPDIR"
                ) from error
        return True

    def _spill(self) -> None:
        """Write what is in memory, and merge runs until each is more than twice the next."""
        ids = np.sort(np.frombuffer(b"".join(self._recent), dtype=_KIND))
        self._runs.append(self._written(iter([ids])))
        self._recent = set()
        while len(self._runs) > 1 and self._runs[-2].length <= 2 * self._runs[-1].length:
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append(self._written(_merged(before, last)))
            for run in (last, before):
                run.file.close()
                Path(run.file.name).unlink()

    def _written(self, blocks: Iterator[np.ndarray]) -> _Run:
        if self._place is None:
            folder = tempfile.TemporaryDirectory(prefix=".seen-", dir=self._folder)
            self._place = Path(self._stack.enter_context(folder))
        self._num_files += 1
        file = (self._place / str(self._num_files)).open("w+b")
        firsts, length = [], 0
        for block in blocks:
            file.write(block.tobytes())
            firsts.append(block[-length % _STEP :: _STEP])
            length += len(block)
        file.flush()
        return _Run(file, length, np.concatenate(firsts))


def _merged(one: _Run, other: _Run) -> Iterator[np.ndarray]:
    """Ids of two runs in rising order."""
    sources = [one.blocks(), other.blocks()]
    heads = [next(source, None) for source in sources]
    while (known := [head for head in heads if head is not None]) and len(known) == 2:
        most = min(known[0][-1], known[1][-1])
        cuts = [int(head.searchsorted(most, side="right")) for head in known]
        parts = [head[:cut] for head, cut in zip(known, cuts, strict=True)]
        yield np.sort(np.concatenate(parts))
        for number, (head, cut) in enumerate(zip(known, cuts, strict=True)):
            heads[number] = head[cut:] if cut < len(head) else next(sources[number], None)
    for number, head in enumerate(heads):
        if head is not None:
            yield head
            yield from sources[number]
