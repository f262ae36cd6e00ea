"""A server of pictures on loopback with every fault that a list of strangers leads to."""

import gzip
import http.server
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.support.pictures import encoded, huge_png, scene
from tests.support.shards import picture

_JPEG = encoded(scene(60, 40), "JPEG", quality=90)
_PACKED = gzip.compress(_JPEG + b"\0" * (4 << 20))  # more than the tests allow
_PIECE = 1 << 14
_SLOW_SECONDS = 5.0


class PictureServer:
    """What the server was asked, and what it says to robots.

    Attributes:
        asked: number of requests by path.
        agents: names of those who asked.
        most: requests under way at once, at the highest point.
        robots: status and text of robots.txt.
        healed: whether ``/later`` answers.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.starts: list[float] = []
        self.most = 0
        self.robots = (404, "")
        self.healed = False
        self._under_way = 0
        self._lock = threading.Lock()
        self.port = 0

    def url(self, path: str, *, host: str = "127.0.0.1") -> str:
        """An address on the server."""
        return f"http://{host}:{self.port}{path}"

    def begin(self, path: str, agent: str) -> int:
        """Note a request; how many there were of its path."""
        with self._lock:
            self.asked[path] += 1
            self.agents.add(agent)
            self.starts.append(time.monotonic())
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            return self.asked[path]

    def end(self) -> None:
        """It was answered."""
        with self._lock:
            self._under_way -= 1


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


@contextmanager
def serving() -> Iterator[PictureServer]:
    """A running server; it ends with the block."""
    state = PictureServer()
    server = _Server(("127.0.0.1", 0), _handler(state))
    state.port = server.server_port
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _send(handler: Any, body: bytes, *, status: int = 200, **headers: str) -> None:
    handler.send_response_only(status)
    length = headers.pop("length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    if length:
        handler.send_header("Content-Length", length)
    else:
        handler.close_connection = True
    handler.end_headers()
    handler.wfile.write(body)


def _slow(handler: Any) -> None:
    handler.send_response_only(200)
    handler.send_header("Content-Length", str(len(_JPEG)))
    handler.end_headers()
    end = time.monotonic() + _SLOW_SECONDS
    for byte in _JPEG:
        if time.monotonic() > end:
            break
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


def _endless(handler: Any) -> None:
    _send(handler, _JPEG, length="")
    for _ in range(4096):
        handler.wfile.write(b"\0" * _PIECE)


def _cut(handler: Any) -> None:
    _send(handler, _JPEG[:500], length=str(len(_JPEG)))
    handler.close_connection = True


def _closed(handler: Any) -> None:
    handler.close_connection = True


def _to(location: str) -> Callable[[Any], None]:
    return lambda handler: _send(handler, b"", status=302, Location=location)


ANSWERS: dict[str, Callable[[Any], None]] = {
    "/slow": _slow,
    "/endless": _endless,
    "/packed-bomb": lambda h: _send(h, _PACKED, Content_Encoding="gzip"),
    "/packed": lambda h: _send(h, gzip.compress(_JPEG), Content_Encoding="gzip"),
    "/large": lambda h: _send(h, _JPEG, length=str(1 << 40)),
    "/cut": _cut,
    "/half-picture": lambda h: _send(h, _JPEG[: len(_JPEG) // 2]),
    "/closed": _closed,
    "/empty": lambda h: _send(h, b""),
    "/html": lambda h: _send(h, b"<!DOCTYPE html><html>no picture</html>" * 100),
    "/bomb.png": lambda h: _send(h, huge_png(60_000, 60_000)),
    "/gone": lambda h: _send(h, b"", status=404),
    "/down": lambda h: _send(h, b"", status=503),
    "/wait-long": lambda h: _send(h, b"", status=429, Retry_After="3600"),
    "/loop": _to("/loop2"),
    "/loop2": _to("/loop"),
    "/moved": _to("/1.jpg"),
    "/moved-private": _to("http://169.254.169.254/latest/meta-data"),
    "/moved-file": _to("file:///etc/passwd"),
    "/moved-robots": _to("/secret/1.jpg"),
    "/noai": lambda h: _send(h, _JPEG, X_Robots_Tag="NOAI, noimageai"),
    "/noai-for-others": lambda h: _send(h, _JPEG, X_Robots_Tag="otherbot: noai, noindex"),
    "/tdm": lambda h: _send(h, _JPEG, TDM_Reservation="1"),
}


def _answer(handler: Any, state: PictureServer, path: str, number: int) -> None:
    if path == "/robots.txt":
        status, text = state.robots
        _send(handler, text.encode(), status=status)
    elif path.partition("?")[0] in ANSWERS:
        ANSWERS[path.partition("?")[0]](handler)
    elif path == "/busy" and number == 1:
        _send(handler, b"", status=429, Retry_After="0")
    elif path == "/flaky" and number == 1:
        _closed(handler)
    elif path.startswith("/later") and not state.healed:
        _send(handler, b"", status=500)
    else:
        name = path.rpartition("/")[2].partition(".")[0]
        which = int(name) if name.isdigit() else 7
        _send(handler, picture(which, side=24, format="JPEG"))


def _handler(state: PictureServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            number = state.begin(self.path, self.headers.get("User-Agent", ""))
            try:
                with suppress(OSError):
                    _answer(self, state, self.path, number)
            finally:
                state.end()

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler
