"""Tasks in processes of this machine."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

from data_pipelines.end_with_parent import end_with_parent
from data_pipelines.errors import DataError

T = TypeVar("T")
R = TypeVar("R")

#: Tasks that wait at each process: none idles, and a million of them need no memory.
_AHEAD = 2

_INTERRUPTED = 130

_function: Callable[[Any], Any]


def run_in_pool(
    function: Callable[[T], R], tasks: Sequence[T], *, processes: int
) -> Iterator[tuple[int, R]]:
    """Number and result of each task, as they are finished.

    Raises:
        UserError: what a task raises.
        DataError: a process was killed.
    """
    others = set(active_children())
    # Spawned, not forked: the caller may run threads.
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_begin, initargs=(function,)
    )
    try:
        yield from _results(pool, tasks, ahead=(1 + _AHEAD) * processes)
        pool.shutdown()
    except BaseException as error:
        # tasks leave nothing half done, so that they need not be waited for
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(active_children()) - others:
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise DataError(
                f"one of {processes} processes was killed, most often for want of memory; what is "
                "finished is kept: run it again with fewer --workers"
            ) from error
        raise


def _results(
    pool: ProcessPoolExecutor, tasks: Sequence[T], *, ahead: int
) -> Iterator[tuple[int, Any]]:
    waiting: dict[Future, int] = {}
    following = iter(enumerate(tasks))
    for number, task in following:
        waiting[pool.submit(_call, task)] = number
        if len(waiting) < ahead:
            continue
        yield from _done(waiting)
    while waiting:
        yield from _done(waiting)


def _done(waiting: dict[Future, int]) -> Iterator[tuple[int, Any]]:
    """Those that are finished, at least one; they do not wait any more."""
    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
        yield waiting.pop(future), future.result()


def _begin(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function
    end_with_parent()
    with suppress(ValueError):  # no main thread
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))


def _call(task: Any) -> Any:
    return _function(task)
