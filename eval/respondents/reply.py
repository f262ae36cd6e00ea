"""What an endpoint sends back to one request, read as it arrives and within bounds."""

import asyncio

import httpx2

from eval.respondents.chat_stream import ChatStream

#: Bytes of a refusal; more are not read.
_REFUSAL = 2**20

#: Bytes after which a body that has neither begun with "{" nor with an event is no stream.
_BEGINNING = 64

#: Seconds that an endpoint has, after the end of an answer, to tell usage and close the stream.
_AFTER_END = 5.0

_EVENT_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


class TooLargeError(Exception):
    """A reply is longer than allowed."""


class Reply:
    """A reply as far as it has come; reading may be cut short and leave it so.

    Args:
        max_body: bytes, decompressed.

    Attributes:
        status: of HTTP; 0 before it came.
        headers: of HTTP.
        stream: the answer, where it comes as a stream of events; None for a body in one piece.
    """

    def __init__(self, max_body: int) -> None:
        self.status = 0
        self.headers = httpx2.Headers()
        self.stream: ChatStream | None = None
        self._max_body = max_body
        self._size = 0
        self._body = bytearray()
        self._is_body = False

    @property
    def body(self) -> bytes:
        """All that came; of a stream, its beginning."""
        return bytes(self._body)

    @property
    def is_whole_stream(self) -> bool:
        """Whether an answer has come, whatever became of the connection then."""
        return self.stream is not None and self.stream.is_whole

    async def read(self, response: httpx2.Response, deadline: asyncio.Timeout) -> None:
        """Read to the end, or as far as is of use.

        Raises:
            TooLargeError: it is longer than allowed.
            ValueError: it is a stream of something else.
        """
        self.status, self.headers = response.status_code, response.headers
        if "," in self.headers.get("content-encoding", ""):
            # each layer may hide a thousand times its size, and yield nothing to be counted
            raise ValueError("a reply compressed more than once")
        async for piece in response.aiter_bytes():
            self._size += len(piece)
            if self.status != 200 and self._size > _REFUSAL:
                return
            if self._size > self._max_body:
                raise TooLargeError
            self._take(piece)
            if self.stream is not None:
                if self.stream.has_ended:
                    return
                if self.stream.is_finished:
                    _end_soon(deadline)
        if self.stream is None and not self._is_body:
            self._decide(is_all=True)
        if self.stream is not None:
            self.stream.end()

    def _take(self, piece: bytes) -> None:
        if self.stream is not None:
            self.stream.feed(piece)
            return
        self._body += piece
        if not self._is_body:
            self._decide()

    def _decide(self, *, is_all: bool = False) -> None:
        """Tell a stream from a body by how it begins; labels are often wrong."""
        start = bytes(self._body[:_BEGINNING]).removeprefix(b"\xef\xbb\xbf").lstrip()
        is_json = start.startswith((b"{", b"["))
        is_short = len(start) < len(b"event:") and len(self._body) < _BEGINNING
        if is_short and not (is_json or is_all):
            return
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_stream = kind == "text/event-stream" or start.startswith(_EVENT_FIELDS)
        if self.status == 200 and is_stream and not is_json:
            self.stream = ChatStream()
            self.stream.feed(bytes(self._body))
        else:
            self._is_body = True


def _end_soon(deadline: asyncio.Timeout) -> None:
    soon = asyncio.get_running_loop().time() + _AFTER_END
    when = deadline.when()
    if when is not None and soon < when:
        deadline.reschedule(soon)
