"""How much of a long work is done, on standard error, with the time that is left."""

import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from operator import length_hint
from typing import Any

from data_pipelines.printable import one_line
from data_pipelines.units import in_time

_FIRST_AFTER = 5.0  # seconds
_LINE_EVERY = 10.0  # seconds, in a log
_REWRITTEN_EVERY = 1.0  # seconds, in a terminal

#: What was done in the last so many marks tells how fast the rest goes: shards that were finished
#: by an earlier call pass in no time, and say nothing about the others.
_MARKS = 32
_MARK_EVERY = 2.0  # seconds


def shard_progress(
    work: Iterable[Any],
    *,
    unit: str = "shards",
    first_after: float = _FIRST_AFTER,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Any, None, None]:
    """The same, counted.

    A terminal has one line that is rewritten; a log gets a line every ten seconds.

    Args:
        work: of known length, or not: then no time is told.
        unit: what is counted.
        first_after: seconds; what takes less says nothing.
        clock: in seconds, never going back.
    """
    total, is_terminal = length_hint(work), sys.stderr.isatty()
    start = last = clock()
    marks = deque([(start, 0)], maxlen=_MARKS)
    is_told = False
    try:
        for done, one in enumerate(work, start=1):
            yield one
            now = clock()
            if now - start < _MARK_EVERY:
                marks[0] = (now, done)
            elif now - marks[-1][0] >= _MARK_EVERY:
                marks.append((now, done))
            wanted = _REWRITTEN_EVERY if is_terminal else _LINE_EVERY
            if now - start >= first_after and (not is_told or now - last >= wanted):
                last, is_told = now, True
                line = _told(done, total, unit, now, *marks[0])
                _write(f"\r\x1b[K{one_line(line)}" if is_terminal else f"{line}\n")
    finally:
        if is_told and is_terminal:
            _write("\r\x1b[K")


#: Of the stages of a recipe.
stage_progress = partial(shard_progress, unit="stages")


def _write(text: str) -> None:
    # a guarded stream shows what a terminal would obey, but for what is written to this one
    getattr(sys.stderr, "obeyed", sys.stderr).write(text)
    sys.stderr.flush()


def _told(done: int, total: int, unit: str, now: float, since: float, before: int) -> str:
    if not total:
        return f"{done:,} {unit}"
    seconds = (now - since) * (total - done) / max(1, done - before)
    return f"{done:,} of {total:,} {unit}, {in_time(seconds)} left"
