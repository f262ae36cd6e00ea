"""Rows of CSV and TSV files, with the lines of the file accounted for.

CSV is quoted as RFC 4180 says: a quoted cell may hold separators and line breaks. TSV as image
and caption sets use it (CC3M, LAION, WIT) has no quoting: each line is a row, and a quotation mark
is a character like any other. Which of the two a file is, its kind tells unless the caller does.
"""

import codecs
import csv
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from data_pipelines.errors import DataError

#: Characters of a line, and so of a cell: what is longer is a broken quote, no caption.
MAX_LINE = 1 << 24

_MAX_RECORD_LINES = 1000  # of one quoted row
_PIECE = 1 << 20  # bytes
_HEAD = 1 << 16  # bytes

Quoting = Literal["rfc4180", "none"]


class Row(NamedTuple):
    """One row.

    Attributes:
        line: number of its first line, from 1.
        cells: empty where there is a problem.
        problem: why it cannot be read; empty where it can.
    """

    line: int
    cells: tuple[str, ...]
    problem: str = ""


class SeparatedRows:
    """The rows of a file, read once, in order; blank lines are no rows.

    Bytes that are no UTF-8 become surrogates, so that one bad row does not end the file; UTF-16
    is read where a byte order mark tells it.

    Args:
        path: of the file.
        delimiter: between cells.
        quoting: see the module.
    """

    def __init__(self, path: Path, *, delimiter: str, quoting: Quoting) -> None:
        self._path = path
        self._delimiter = delimiter
        self._quoting = quoting
        self.num_lines = 0
        self.num_blank = 0

    def __iter__(self) -> Iterator[Row]:
        """Every row, broken ones too.

        Raises:
            DataError: the file cannot be read, or its lines are not those counted apart.
        """
        try:
            with _opened(self._path) as (stream, counted):
                split = self._quoted if self._quoting == "rfc4180" else self._plain
                yield from split(self._lines(stream))
        except OSError as error:
            raise DataError(f"cannot read {self._path}: {error.strerror}") from error
        if counted is not None and counted != self.num_lines:
            raise DataError(
                f"{self._path} has {counted:,} lines, but {self.num_lines:,} were read; it "
                "changed meanwhile: start again"
            )

    def _lines(self, stream: TextIO) -> Iterator[str]:
        """Lines with their ends; of a line that is too long only the first part."""
        while line := stream.readline(MAX_LINE + 1):
            self.num_lines += 1
            if len(line) > MAX_LINE:
                while (rest := stream.readline(MAX_LINE)) and not _is_ended(rest):
                    pass
            yield line

    def _plain(self, lines: Iterator[str]) -> Iterator[Row]:
        for number, line in enumerate(lines, start=1):
            text = line.rstrip("\r\n")
            if len(line) > MAX_LINE:
                yield Row(number, (), _TOO_LONG)
            elif text:
                yield Row(number, tuple(text.split(self._delimiter)))
            else:
                self.num_blank += 1

    def _quoted(self, lines: Iterator[str]) -> Iterator[Row]:
        with _cell_limit():
            feed = _Feed(lines)
            while feed.begin():
                number = feed.taken + 1
                try:
                    # A new reader for each row: after an error the old one's place is unknown.
                    cells = next(csv.reader(feed, delimiter=self._delimiter, strict=True))
                except csv.Error as error:
                    feed.give_back()
                    yield Row(number, (), str(error))
                    continue
                if cells:
                    yield Row(number, tuple(cells))
                else:
                    self.num_blank += 1


_TOO_LONG = f"longer than {MAX_LINE:,} characters"


class _Feed:
    """Lines for one row after the other; those that a broken row ran over are read again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: deque[str] = deque()
        self._row: list[str] = []
        self.taken = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self._row) == _MAX_RECORD_LINES:
            raise csv.Error(f"a quoted cell is still open after {_MAX_RECORD_LINES:,} lines")
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken += 1
        self._row.append(line)
        return line

    def begin(self) -> bool:
        """Start a row; whether a line is left."""
        self._row.clear()
        if not self._again:
            line = next(self._lines, None)
            if line is None:
                return False
            self._again.append(line)
        return True

    def give_back(self) -> None:
        """All lines of the present row but its first are those of other rows."""
        self._again.extendleft(reversed(self._row[1:]))
        self.taken -= len(self._row[1:])


@contextmanager
def _cell_limit() -> Iterator[None]:
    previous = csv.field_size_limit(MAX_LINE)
    try:
        yield
    finally:
        csv.field_size_limit(previous)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[TextIO, int | None]]:
    """The text, and how many lines it has where its bytes tell that apart."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    is_wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    end = "\r" if b"\r" in head and b"\n" not in head else "\n"
    counted = None if is_wide else _count_lines(path, end.encode())
    encoding = "utf-16" if is_wide else "utf-8-sig"
    errors = "replace" if is_wide else "surrogateescape"
    with path.open(encoding=encoding, errors=errors, newline=end) as stream:
        yield stream, counted


def _count_lines(path: Path, end: bytes) -> int:
    count, last = 0, end
    with path.open("rb") as file:
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        while piece := file.read(_PIECE):
            count += piece.count(end)
            last = piece[-1:]
    return count + (last != end)


def _is_ended(line: str) -> bool:
    return line.endswith(("\n", "\r"))
