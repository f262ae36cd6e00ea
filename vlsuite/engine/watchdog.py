"""Ends a process that makes no progress, and names what it was waiting for.

A peer that vanishes without closing its connections, a decoder that hangs, a file system that
does not answer: each leaves training silent for ever. Collectives and workers have time limits of
their own; this one covers everything else.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlsuite.errors import LostContactError

#: The watchdog waits this much longer than the time limits that can say more about the cause.
#: (Those of collectives hold for the groups made here only; DeepSpeed makes groups of its own.)
_EXTRA_SECONDS = 5.0

# More than so many looks between two of them, the whole process was suspended; they count as these.
_MOST_LOOKS = 2


class Watchdog:
    """A thread that ends the process when one phase of a step takes too long.

    Time in which the whole process was suspended (Ctrl-Z, SIGSTOP, a scheduler's suspension) does
    not count.

    Args:
        seconds: longest a phase may take before somebody else's time limit strikes.
        report: file for the stack of every thread.
    """

    def __init__(self, seconds: float, report: Path) -> None:
        self._limit = seconds + _EXTRA_SECONDS
        self._report = report
        self._phase = "starting"
        self._since: float | None = None
        self._stopped = threading.Event()

    def enter(self, phase: str) -> None:
        """Begin a phase ("waiting for data"); the time counts anew."""
        self._phase = phase
        self._since = time.monotonic()

    def rest(self) -> None:
        """Stop counting: what follows may take any time (evaluation, export)."""
        self._since = None

    @contextmanager
    def watching(self) -> Iterator["Watchdog"]:
        """Watch while the block runs."""
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stopped.set()

    def _watch(self) -> None:
        look = min(1.0, self._limit / 4)
        last, seen, counted = time.monotonic(), None, 0.0
        while not self._stopped.wait(look):
            now, since = time.monotonic(), self._since
            begun = last if since is None or since == seen else max(last, since)
            counted = (counted if since == seen else 0.0) + min(now - begun, _MOST_LOOKS * look)
            last, seen = now, since
            if since is not None and counted > self._limit:
                self._end(counted)

    def _end(self, seconds: float) -> None:
        try:
            with self._report.open("w") as stream:
                faulthandler.dump_traceback(stream)
        except OSError:
            faulthandler.dump_traceback(sys.stderr)
        print(
            f"error: no progress for {seconds:.0f}s while {self._phase} (stacks of all threads: "
            f"{self._report}); a peer, a worker or a file system hangs; continue the run with "
            f"--resume (stall_timeout sets the limit)",
            file=sys.stderr,
            flush=True,
        )
        os._exit(LostContactError.exit_code)
