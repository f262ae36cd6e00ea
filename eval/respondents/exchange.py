"""One request sent once, and what became of it."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx2

from eval.respondents.chat_request import Answer, ChatRequest, clean, error_text, read_answer
from eval.respondents.retry import FATAL_STATUS, is_retried, retry_after_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why there is no answer.

    Args:
        kind: short and the same for all like cases ("429", "timeout", "malformed answer").
        reason: in one line.
        is_retried: whether the same request may succeed later.
        is_fatal: whether every other request will fail likewise.
        may_be_paid: whether the endpoint may have answered all the same.
        retry_after: seconds it asked for.
    """

    kind: str
    reason: str
    is_retried: bool = False
    is_fatal: bool = False
    may_be_paid: bool = False
    retry_after: float | None = None


class Exchange:
    """Sends requests to one address.

    Args:
        url: where to.
        api_key: sent as a bearer token and never shown; None for none.
        timeout: seconds one try may take in all.
        connections: open at a time.
    """

    def __init__(self, url: str, *, api_key: str | None, timeout: float, connections: int) -> None:
        self._url, self._api_key, self._timeout = url, api_key, timeout
        headers = {"Content-Type": "application/json"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        host = httpx2.URL(url).host
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=timeout,
            limits=httpx2.Limits(max_connections=connections),
            # a proxy of the environment is for the outside
            trust_env=host not in {"localhost", "127.0.0.1", "::1"},
        )

    async def send(self, request: ChatRequest) -> Answer | Trouble:
        """Send it once."""
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._client.post(self._url, content=request.body)
        except (TimeoutError, httpx2.TimeoutException):
            reason = f"no answer within {self._timeout:g} s"
            return Trouble(kind="timeout", reason=reason, is_retried=True, may_be_paid=True)
        except httpx2.ConnectError as error:
            reason = f"no connection: {clean(str(error))}"
            return Trouble(kind="no connection", reason=reason, is_retried=True)
        except (httpx2.RequestError, httpx2.StreamError) as error:
            reason = f"connection cut: {clean(str(error)) or type(error).__name__}"
            return Trouble(kind="cut connection", reason=reason, is_retried=True, may_be_paid=True)
        return self._read(reply)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def _read(self, reply: httpx2.Response) -> Answer | Trouble:
        status = reply.status_code
        if status == 200:
            try:
                return read_answer(reply.content)
            except ValueError as error:
                reason = f"malformed answer: {self._shown(str(error))}"
                return Trouble(
                    kind="malformed answer", reason=reason, is_retried=True, may_be_paid=True
                )
        told = self._shown(error_text(reply.content))
        if 300 <= status < 400:
            told = f"it redirects to {reply.headers.get('location')}; give that address instead"
        is_fatal = status in FATAL_STATUS or 300 <= status < 400 or _is_out_of_quota(reply.content)
        return Trouble(
            kind=str(status),
            reason=f"status {status}: {told}",
            is_retried=is_retried(status) and not is_fatal,
            is_fatal=is_fatal,
            retry_after=retry_after_seconds(reply.headers.get("retry-after")),
        )

    def _shown(self, text: str) -> str:
        return text if not self._api_key else text.replace(self._api_key, "***")


def _is_out_of_quota(body: bytes) -> bool:
    """OpenAI answers 429 also where the account is empty, which no waiting mends."""
    try:
        error: Any = json.loads(body)["error"]
        return "insufficient_quota" in (error.get("code"), error.get("type"))
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return False
