"""Server-sent events out of bytes (WHATWG HTML, 9.2.6 "Interpreting an event stream")."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its kind ("message" where it has no name), and its lines of data joined."""

    kind: str
    data: str


class EventReader:
    """Reads a stream as it arrives; the bytes may be cut anywhere, inside a character too.

    Ids and waiting times of events are of no use for an answer and left out.
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._kind = b""
        self._is_first_line = True
        self._after_return = False

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that this piece completes."""
        if not piece:
            return
        if self._after_return:
            piece = piece.removeprefix(b"\n")
        self._after_return = piece.endswith(b"\r")
        *ends, rest = _LINE_END.split(piece)
        for end in ends:
            line = b"".join([*self._line, end])
            self._line.clear()
            if (event := self._take(line)) is not None:
                yield event
        self._line.append(rest)

    def rest(self) -> Event | None:
        """What no empty line has completed: the standard drops it at the end of a stream."""
        self._take(b"".join(self._line) or b":")
        self._line.clear()
        return self._event()

    def _take(self, line: bytes) -> Event | None:
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._event()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._kind = value.removeprefix(b" ")
        return None

    def _event(self) -> Event | None:
        kind, data = self._kind.decode("utf-8", "replace"), b"\n".join(self._data)
        is_event = bool(self._data)
        self._kind = b""
        self._data.clear()
        return Event(kind or "message", data.decode("utf-8", "replace")) if is_event else None
