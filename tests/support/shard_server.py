"""A real web server of shards on loopback, whose answers can fail."""

import hashlib
import http.server
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class ShardServer:
    """What the server was asked for, and how it fails.

    Attributes:
        fetched: number of GET requests for each shard, by file name.
        busy: how often each file is answered with status 503 yet.
        cut: files of which half is sent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: Counter[str] = Counter()
        self.busy: Counter[str] = Counter()
        self.cut: set[str] = set()
        self.address = ""


@contextmanager
def serving_shards(folder: Path) -> Iterator[ShardServer]:
    """Serve the files of a folder; the server ends with the block."""
    state = ShardServer(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(state))
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _handler(state: ShardServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(is_head=True)

        def do_GET(self) -> None:
            self._answer(is_head=False)

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

        def _answer(self, *, is_head: bool) -> None:
            name = self.path.lstrip("/")
            path = state.folder / name
            if not is_head and name.endswith(".tar"):
                state.fetched[name] += 1
            if not is_head and state.busy[name]:
                state.busy[name] -= 1
                self._send(503, b"busy")
            elif not path.is_file():
                self._send(404, b"" if is_head else b"nothing here")
            else:
                self._send(200, path.read_bytes(), is_head=is_head, is_cut=name in state.cut)

        def _send(
            self, status: int, body: bytes, *, is_head: bool = False, is_cut: bool = False
        ) -> None:
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()[:16]}"')
            self.end_headers()
            if not is_head:
                self.wfile.write(body[: len(body) // 2] if is_cut else body)
            self.close_connection = self.close_connection or is_cut

    return Handler
