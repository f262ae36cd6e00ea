"""A progress line with rate and time left, on standard error."""

import io
import sys
import time
from collections.abc import Callable

from data_pipelines.printable import one_line


class Progress:
    """Counts work done and now and then says how far it is.

    A terminal gets one line that is rewritten; a log file gets a line every ten seconds.

    Args:
        what: what is being done ("embedding cifar10 (test)").
        total: units of work in all.
        unit: what is counted ("images").
        stream: where the line goes.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        what: str,
        *,
        total: int,
        unit: str,
        stream: io.TextIOBase | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._stream = stream or sys.stderr
        self._clock = clock
        self._done = 0
        self._start = self._last = clock()
        self._terminal = self._stream.isatty()

    def add(self, count: int) -> None:
        """Report ``count`` more units done."""
        self._done = min(self._total, self._done + count)
        now = self._clock()
        if now - self._last >= (0.5 if self._terminal else 10.0):
            self._last = now
            self._write(now)

    def close(self) -> None:
        """Write the last line, if any was written before."""
        if self._last > self._start:
            self._write(self._clock())
            if self._terminal:
                self._stream.write("\n")

    def _write(self, now: float) -> None:
        rate = self._done / max(now - self._start, 1e-9)
        left = (self._total - self._done) / rate if rate else float("inf")
        line = (
            f"{self._what}: {self._done:,}/{self._total:,} {self._unit}, "
            f"{rate:,.0f} {self._unit}/s, {duration(left)} left"
        )
        if self._terminal:
            getattr(self._stream, "obeyed", self._stream).write(f"\r\x1b[K{one_line(line)}")
        else:
            self._stream.write(f"{one_line(line)}\n")
        self._stream.flush()


def duration(seconds: float) -> str:
    """Seconds as a person says them: "8 s", "3 min 20 s", "2 h 05 min"."""
    if seconds == float("inf"):
        return "unknown time"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
