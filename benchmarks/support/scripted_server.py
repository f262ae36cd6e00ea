"""A chat server on loopback that sends, byte for byte, what it is told to."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeAlias

EVENTS = "text/event-stream; charset=utf-8"

_CHUNK = {"id": "c-1", "object": "chat.completion.chunk", "model": "m"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One reply.

    Args:
        pieces: of the body, each sent by itself; may have no end.
        status, kind, headers: of HTTP.
        pause: seconds before each piece but the first.
        end: "close" ends the body as it should; "reset" cuts the connection; "hang" leaves it open.
        is_chunked: whether the body's end is marked, so that a cut shows.
    """

    pieces: Iterable[bytes] = ()
    status: int = 200
    kind: str = EVENTS
    headers: Mapping[str, str] = field(default_factory=dict)
    pause: float = 0.0
    end: Literal["close", "reset", "hang"] = "close"
    is_chunked: bool = True


#: From the request and the number of its like before it to what is sent.
Script: TypeAlias = Callable[[dict[str, Any], int], Sent]


class ScriptedServer:
    """The server, from entering the ``with`` block to leaving it.

    Attributes:
        requests: all that were received, in order.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self.is_over = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "ScriptedServer":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: ScriptedServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.owner.lock:
            before = sum(r["messages"] == request["messages"] for r in self.owner.requests)
            self.owner.requests.append(request)
        self.close_connection = True
        with suppress(OSError):
            self._send(self.owner.script(request, before))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def _send(self, sent: Sent) -> None:
        self.send_response(sent.status)
        coding = {"Transfer-Encoding": "chunked"} if sent.is_chunked else {}
        # said, or a client may send its next request into a connection that is being closed
        ours = {"Content-Type": sent.kind, "Connection": "close", **coding}
        for name, value in {**ours, **sent.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        for place, piece in enumerate(sent.pieces):
            if place:
                time.sleep(sent.pause)
            framed = b"%x\r\n%s\r\n" % (len(piece), piece) if sent.is_chunked else piece
            self.wfile.write(framed)
            self.wfile.flush()
        if sent.end == "hang":
            self.owner.is_over.wait(30)
        elif sent.end == "reset":
            linger = struct.pack("ii", 1, 0)  # closing with the linger time at zero resets
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        elif sent.is_chunked:
            self.wfile.write(b"0\r\n\r\n")


def chunk(content: str | None = None, *, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a stream, as OpenAI sends it."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**_CHUNK, "choices": [choice], **more}


def event(data: Any) -> bytes:
    """One event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def told(*texts: str) -> list[bytes]:
    """The events of a whole answer in these pieces, usage after its end."""
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    last = {**_CHUNK, "choices": []}
    first = chunk("", finish=None)
    first["choices"][0]["delta"]["role"] = "assistant"
    return [
        event(first),
        *(event(chunk(text)) for text in texts),
        event(chunk(finish="stop")),
        event({**last, "usage": usage}),
        event("[DONE]"),
    ]


def refusal(message: str, status: int = 400, **more: Any) -> Sent:
    """An error in JSON."""
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error", **more}})
    return Sent(pieces=[body.encode()], status=status, kind="application/json")
