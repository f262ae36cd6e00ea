"""``--quiet``: of what goes to standard error, warnings and errors alone."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Lines that are let through: our own, those of Python's warnings, of loggers.
_KEPT = re.compile(
    r"(?:warning|error|interrupted)\b|.*\b(?:\w*Warning: |WARNING\b|ERROR\b|FATAL\b)"
)
#: From such a line on everything is let through.
_CRASH = re.compile(r"Traceback \(|Exception in thread|Fatal Python error")


class WarningsOnly:
    """A text stream that hands on whole lines, those that warn.

    Args:
        stream: where they go.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._begun = ""
        self._passes_all = False

    @property
    def obeyed(self) -> "WarningsOnly":
        """For lines that are rewritten: this stream, which leaves them out."""
        return self

    def write(self, text: str) -> int:
        """Write the warnings among the lines that are complete now."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._hand_on(f"{line}\n")
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """No: progress that rewrites its line is left out from the start."""
        return False

    def finish(self) -> None:
        """Hand on the last line, which has no end."""
        if self._begun:
            self._hand_on(self._begun)
            self._begun = ""

    def _hand_on(self, line: str) -> None:
        shown = line.rpartition("\r")[2]
        self._passes_all |= bool(_CRASH.match(shown))
        if self._passes_all or _KEPT.match(shown):
            self._stream.write(shown)
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def warnings_only() -> Iterator[None]:
    """Standard error of this process as ``WarningsOnly`` inside the block."""
    before = sys.stderr
    quiet: Any = WarningsOnly(before)
    sys.stderr = quiet
    try:
        yield
    finally:
        sys.stderr = before
        quiet.finish()
