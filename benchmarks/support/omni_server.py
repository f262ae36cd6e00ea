"""An OpenAI-compatible chat server on loopback, with any function as its model and faults to order.

It keeps count of what it received, of what it answered whole, and of answers that it made but that
the client never got whole: those a real provider would bill too.
"""

import hashlib
import json
import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeAlias

Fault: TypeAlias = Literal["429", "429 date", "500", "timeout", "cut", "malformed"]

#: From a request to what the model writes; any JSON value, for answers out of the ordinary.
Model: TypeAlias = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultPlan:
    """Which try of which request goes wrong, and how; the same for equal seeds in any order.

    Args:
        rates: share of the tries by fault.
        seed: of the draws.
        faulty_tries: later tries of a request always succeed.
        hang: seconds a "timeout" takes before the answer comes.
        retry_after: seconds that a "429" asks for.
    """

    rates: Mapping[Fault, float] = field(default_factory=dict)
    seed: int = 0
    faulty_tries: int = 3
    hang: float = 2.0
    retry_after: float = 0.1

    def fault(self, content: str, attempt: int) -> Fault | None:
        """What happens to the ``attempt``-th try (from 1) of a request of this digest."""
        if attempt > self.faulty_tries:
            return None
        draw = random.Random(f"{self.seed} {content} {attempt}").random()
        for fault, rate in self.rates.items():
            draw -= rate
            if draw < 0:
                return fault
        return None


@dataclass
class Ledger:
    """What the server has seen, by key of the request.

    Args:
        received: requests.
        delivered: whole answers.
        lost: answers that were made and not delivered whole.
        faults: by kind.
        keys: of all requests, in order of arrival.
        bodies: of all requests, where they are kept.
    """

    received: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    keys: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


class OmniServer:
    """The server, from entering the ``with`` block to leaving it.

    Args:
        model: writes the answers.
        plan: of faults; None for none.
        delay: seconds every answer takes.
        keep_bodies: whether request bodies stay in ``ledger.bodies``.
        status: a status that every request gets instead of an answer, with ``message`` and
            ``code``.
        api_key: that requests must bring; None for none.

    Attributes:
        refuse, fail: texts; requests that hold them get status 400 or 500.
        body: sent with status 200 in place of an answer.
    """

    def __init__(
        self,
        model: Model,
        *,
        plan: FaultPlan | None = None,
        delay: float = 0.0,
        keep_bodies: bool = False,
        status: int | None = None,
        message: str = "no",
        code: str | None = None,
        api_key: str | None = None,
    ) -> None:
        self.model, self.plan, self.delay = model, plan or FaultPlan(), delay
        self.keep_bodies, self.status, self.message = keep_bodies, status, message
        self.api_key, self.code = api_key, code
        self.refuse: str | None = None
        self.fail: str | None = None
        self.body: bytes | None = None
        self.ledger = Ledger()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"omni": self})
        self._server = _QuietServer(("127.0.0.1", 0), handler)

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> "OmniServer":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that a killed client has cut."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    omni: OmniServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        omni = self.omni
        key = hashlib.sha256(f"{omni.url}/chat/completions".encode() + b"\0" + body).hexdigest()
        with omni.lock:
            omni.ledger.received[key] += 1
            omni.ledger.keys.append(key)
            if omni.keep_bodies:
                omni.ledger.bodies.append(body)
            content = hashlib.sha256(body).hexdigest()  # without the port, so the same each time
            fault = omni.plan.fault(content, omni.ledger.received[key])
            if fault is not None:
                omni.ledger.faults[fault] += 1
        refusal = self._refusal(body)
        if refusal is not None:
            self._send(*refusal)
            return
        time.sleep(omni.delay)
        if fault in {"429", "429 date", "500"}:
            self._fail(fault)
            return
        request = json.loads(body)
        self._deliver(key, _completion(request, omni.model(request)), fault)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the ledger has it."""

    def _refusal(self, body: bytes) -> tuple[int, bytes] | None:
        omni = self.omni
        if omni.body is not None:
            return 200, omni.body
        if omni.refuse and omni.refuse.encode() in body:
            return 400, _error("refused on purpose")
        if omni.fail and omni.fail.encode() in body:
            return 500, _error("failed on purpose")
        if self.path != "/v1/chat/completions":
            return 404, _error("no such path")
        if omni.api_key and self.headers.get("Authorization") != f"Bearer {omni.api_key}":
            return 401, _error(f"wrong key in {self.headers.get('Authorization')}")
        return (omni.status, _error(omni.message, omni.code)) if omni.status else None

    def _fail(self, fault: str) -> None:
        wait = self.omni.plan.retry_after
        if fault == "500":
            self._send(500, b"<html>Internal Server Error</html>")
        elif fault == "429":
            self._send(429, _error("slow down"), {"Retry-After": f"{wait:g}"})
        else:
            moment = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + wait))
            self._send(429, _error("slow down"), {"Retry-After": moment})

    def _deliver(self, key: str, answer: bytes, fault: Fault | None) -> None:
        """Send an answer, which is made and so would be billed, whole or not."""
        ledger = self.omni.ledger
        if fault is None:
            with self.omni.lock:  # counted first: the client may be gone when sending returns
                ledger.delivered[key] += 1
            with suppress(OSError):
                self._send(200, answer)
            return
        with self.omni.lock:
            ledger.lost[key] += 1
        if fault == "malformed":
            self._send(200, answer[: len(answer) // 2])
            return
        if fault == "timeout":
            time.sleep(self.omni.plan.hang)
            self.close_connection = True
            return
        self._start(200, len(answer), {})
        self.wfile.write(answer[: len(answer) // 2])
        self.wfile.flush()
        # closing with the linger time at zero resets the connection
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self._start(status, len(body), headers or {})
        self.wfile.write(body)

    def _start(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


def letter_model(request: dict[str, Any]) -> str:
    """Writes a letter that depends on the whole request, in one of several usual forms."""
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).digest()
    letter = "ABCD"[digest[0] % 4]
    forms = ("{}", "{}.", "({})", "The answer is {}.", "**{}**", "I cannot tell.")
    return forms[digest[1] % len(forms)].format(letter)


def _completion(request: dict[str, Any], text: Any) -> bytes:
    sent = len(json.dumps(request["messages"])) // 4
    answer = {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "model": request["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": sent, "completion_tokens": 1 + len(str(text)) // 4},
    }
    return json.dumps(answer).encode()


def _error(message: str, code: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "code": code}}).encode()
