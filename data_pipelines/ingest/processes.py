"""Several processes that fill shards; the first error ends all, and so does the end of this one."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from multiprocessing import get_context
from queue import Empty
from typing import Any

from data_pipelines.end_with_parent import end_with_parent
from data_pipelines.errors import DataError, UserError
from data_pipelines.ingest.shard_job import ShardResult
from data_pipelines.ingest.work import Tell, Work, fill_shards

_LOOK_EVERY = 0.5  # seconds


def fill_in_processes(
    work: Work,
    shards: Iterator[int],
    *,
    workers: int,
    tell: Tell,
    done: Callable[[ShardResult], None],
) -> None:
    """As ``fill_shards``, by several processes that take one shard after the other.

    Args:
        shards: numbers as their rows become known; taken from this thread.
    Raises:
        DataError: what a process raised, or that one was killed.
    """
    first = next(shards, None)
    if first is None:
        return
    context = get_context("spawn")
    given, told = context.Queue(), context.Queue()
    processes = [
        context.Process(target=_fill, args=(work, given, told), daemon=True) for _ in range(workers)
    ]
    with _ended(processes):
        for process in processes:
            process.start()
        for shard in chain([first], shards):
            given.put(shard)  # numbers alone: the rows lie in files
            _listen(told, tell, done, wait=0.0)
        for _ in processes:
            given.put(None)
        num_open = workers
        while num_open:
            num_open -= _listen(told, tell, done, wait=_LOOK_EVERY)
            _refuse_killed(processes)


def _listen(told: Any, tell: Tell, done: Callable[[ShardResult], None], *, wait: float) -> int:
    """Pass on what the processes said; how many of them have ended."""
    ended = 0
    while True:
        try:
            kind, value = told.get(timeout=wait) if wait else told.get_nowait()
        except Empty:
            return ended
        if kind == "rows":
            tell(*value)
        elif kind == "done":
            done(value)
        elif kind == "error":
            raise DataError(value)
        else:
            ended += 1
            if wait:
                return ended


def _refuse_killed(processes: list[Any]) -> None:
    codes = [one.exitcode for one in processes if one.exitcode]
    if codes:
        raise DataError(
            f"a worker ended with code {codes[0]} (killed, perhaps for memory: fewer --connections "
            "or a smaller --max-bytes take less); run the command again to go on"
        )


@contextmanager
def _ended(processes: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for one in processes:
            if one.pid is not None:
                one.terminate()
        for one in processes:
            if one.pid is not None:
                one.join()


def _fill(work: Work, given: Any, told: Any) -> None:
    """In a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that was interrupted ends this one
    end_with_parent()
    try:
        fill_shards(
            work,
            given.get,
            tell=lambda rows, pictures: told.put(("rows", (rows, pictures))),
            done=lambda result: told.put(("done", result)),
        )
    except UserError as error:
        told.put(("error", str(error)))
    told.put(("end", None))
