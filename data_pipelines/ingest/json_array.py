"""The objects of a JSON array, one after the other: lists of URLs are larger than memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from data_pipelines.errors import DataError

#: Characters of one object; a list of addresses has a few hundred.
MOST_OBJECT = 16 << 20

_PIECE = 1 << 18
_BLANKS = " \t\r\n"


def array_objects(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file that holds one array of them.

    Raises:
        DataError: it holds something else, an object is broken or too large, or the file ends
            before the array does.
        OSError: it cannot be read.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        reader = _Reader(stream, path)
        reader.expect("[", "an array of objects: [{...}, ...]")
        if reader.peek() == "]":
            return
        while True:
            value = reader.value()
            if not isinstance(value, dict):
                raise DataError(
                    f"{path} holds something else than objects; write [{{...}}, ...], or one "
                    "object a line as .jsonl"
                )
            yield value
            if reader.peek() == "]":
                return
            reader.expect(",", "a comma or the end of the array")


class _Reader:
    """Characters of a file, and where it stands in them."""

    def __init__(self, stream: TextIO, path: Path) -> None:
        self._stream, self._path = stream, path
        self._text, self._place, self._passed = "", 0, 0
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is no blank."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in _BLANKS:
                    return self._text[self._place]
                self._place += 1
            if not self._more():
                raise self._broken("the file ends within the array")

    def expect(self, character: str, what: str) -> None:
        """Take one character."""
        if self.peek() != character:
            raise self._broken(f"{what} is missing")
        self._place += 1

    def value(self) -> Any:
        """Take one value; read on until it is whole."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
            except (ValueError, RecursionError):
                is_long = len(self._text) - self._place > MOST_OBJECT
                if is_long or not self._more():
                    raise self._broken("an object is broken, or too large") from None
                continue
            self._place = end
            return value

    def _more(self) -> bool:
        # twice as much each time, so that a long object is not parsed from its start too often
        piece = self._stream.read(max(_PIECE, len(self._text) - self._place))
        self._passed += self._place
        self._text, self._place = self._text[self._place :] + piece, 0
        return bool(piece)

    def _broken(self, what: str) -> DataError:
        place = self._passed + self._place
        return DataError(f"{self._path}: {what}, near character {place:,}; mend or write it again")
