"""Numbers of shards, made in a thread of their own while shards before them are fetched."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Event, Thread
from types import TracebackType


class Ahead:
    """An iterator that runs ahead of who takes from it. A context; its thread ends with it.

    Args:
        shards: iterated in the thread; what it raises is raised by ``next``.
    """

    def __init__(self, shards: Iterator[int]) -> None:
        self._shards = shards
        self._made: SimpleQueue[int | Exception | None] = SimpleQueue()
        self._is_over = Event()
        self._thread = Thread(target=self._run, name="lists", daemon=True)

    def __enter__(self) -> "Ahead":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._made.put(None)  # for who still waits
        self._thread.join()

    def next(self) -> int | None:
        """The next one, when it is there; None at the end."""
        found = self._made.get()
        if isinstance(found, Exception):
            raise found
        return found

    def _run(self) -> None:
        try:
            for shard in self._shards:
                self._made.put(shard)
                if self._is_over.is_set():
                    return
            self._made.put(None)
        except Exception as error:  # passed on to the thread that takes
            self._made.put(error)
