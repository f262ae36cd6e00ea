"""A server on loopback: endless and packed bodies, wrong sizes, headers that terminals obey."""

import gzip
import http.server
import json
import os
import selectors
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.hostile_inputs.place import OBEYED
from benchmarks.support import hostile_pictures
from benchmarks.support.hostile_pictures import MANY_HOSTS, ROBOTS, robots_host

_PIECE = b"x" * (1 << 16)
_C1 = "\x1b[31m\x9b2J"
_LARGEST = 8 << 30  # bytes; what one reader would have taken by then shows


def serve(shards: Path) -> str:
    """Start the server in a process of its own, which ends with this one; its address."""
    handler = _handler(shards)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    others = [*map(robots_host, ROBOTS), *MANY_HOSTS]
    servers = [server]
    servers += [
        http.server.ThreadingHTTPServer((one, server.server_port), handler) for one in others
    ]
    if os.fork() == 0:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        _serve_all(servers)
    for one in servers:
        one.socket.close()
    return f"http://127.0.0.1:{server.server_port}"


def _serve_all(servers: list[http.server.ThreadingHTTPServer]) -> None:
    """Every request in a thread of its own."""
    waiting = selectors.DefaultSelector()
    for one in servers:
        one.daemon_threads = True
        waiting.register(one.socket, selectors.EVENT_READ, one)
    while True:
        for found, _ in waiting.select():
            found.data.handle_request()


def _end_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


Reply = Callable[[Any], None]


def _answer(handler: Any, body: bytes, *, status: int = 200, **headers: str) -> None:
    handler.send_response_only(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    if "Content_Length" not in headers:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def _endless(handler: Any) -> None:
    handler.send_response_only(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    for _ in range(_LARGEST // len(_PIECE)):
        handler.wfile.write(_PIECE)


def _packed(handler: Any) -> None:
    body = gzip.compress(b" " * (1 << 28), 9)
    _answer(handler, body, Content_Encoding="gzip", Content_Type="application/json")


def _redirect(handler: Any) -> None:
    """Sent by hand: the standard library would not."""
    handler.wfile.write(
        b"HTTP/1.1 302 Found\r\nLocation: http://x/" + _C1.encode("latin-1") + b"\r\n"
        b"Content-Length: 0\r\n\r\n"
    )


def _loop(handler: Any) -> None:
    _answer(handler, b"", status=302, Location=handler.path)


def _told(message: Any) -> bytes:
    return json.dumps({"error": {"message": message}}).encode()


def _chat(text: str, **usage: Any) -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    return json.dumps({"choices": [choice], "usage": usage}).encode()


def _key_of(handler: Any) -> str:
    return handler.headers.get("Authorization", "")


#: To a question, by the first part of the path.
REPLIES: dict[str, Reply] = {
    "endless": _endless,
    "packed": _packed,
    "redirect": _redirect,
    "loop": _loop,
    "deep": lambda h: _answer(h, b"[" * 1_000_000),
    "values": lambda h: _answer(h, b"[" + b"{}," * 5_000_000 + b"{}]"),
    "error_obeyed": lambda h: _answer(h, _told(OBEYED), status=400),
    "key_echoed": lambda h: _answer(h, _told(_key_of(h)), status=401),
    "key_in_answer": lambda h: _answer(h, _chat(f"A {_key_of(h)}")),
    "answer_obeyed": lambda h: _answer(h, _chat(OBEYED)),
    "answer_long": lambda h: _answer(h, _chat("A" * (50 << 20))),
    "tokens_infinite": lambda h: _answer(
        h, _chat("A").replace(b'"usage": {}', b'"usage": {"prompt_tokens": 1e999}')
    ),
    "tokens_huge": lambda h: _answer(h, _chat("A", prompt_tokens=10**300)),
    "no_http": lambda h: h.wfile.write(b"\x1b[31m\0\0\0" * 100),
}


def _handler(shards: Path) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            name = self.path.split("/")[1]
            self.close_connection = True
            with suppress(OSError):
                REPLIES[name](self)

        def do_HEAD(self) -> None:
            self._file(has_body=False)

        def do_GET(self) -> None:
            with suppress(OSError):
                self._file(has_body=True)

        def _file(self, *, has_body: bool) -> None:
            if has_body and hostile_pictures.answer(self):
                return
            _, kind, *_ = self.path.split("/")
            if kind == "shards" and self.path.endswith(".tar"):
                body = next(shards.glob("*.tar")).read_bytes()
                self._part(body if has_body else b"", len(body))
            elif kind == "sizes":
                self.send_response_only(200)
                self.send_header("Content-Length", self.path.split("/")[2])
                self.end_headers()
                if has_body:
                    self.wfile.write(_PIECE)
            elif kind == "endless" and has_body:
                _endless(self)
            elif kind == "redirect":
                _redirect(self)
            else:
                self.send_response_only(404, "gone")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def _part(self, body: bytes, size: int) -> None:
            first, last = 0, size - 1
            asked = self.headers.get("Range", "")
            if asked.startswith("bytes="):
                low, _, high = asked[6:].partition("-")
                first, last = int(low), min(int(high or last), last)
            self.send_response_only(206 if asked else 200)
            self.send_header("Content-Length", str(last + 1 - first))
            self.send_header("Accept-Ranges", "bytes")
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.end_headers()
            if body:
                self.wfile.write(body[first : last + 1])

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler
