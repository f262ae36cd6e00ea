"""One request sent once, and what became of it."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx2

from data_pipelines.bounded_json import check_values, parsed_json
from eval.respondents.asking_form import Asking, AskingForm
from eval.respondents.chat_request import Answer, ChatRequest, clean, error_text, read_answer
from eval.respondents.chat_stream import ChatStream
from eval.respondents.endpoint_config import EndpointLimits
from eval.respondents.reply import Reply, TooLargeError
from eval.respondents.retry import FATAL_STATUS, is_retried, retry_after_seconds
from eval.respondents.secret import Secret

#: Characters of a message that are shown.
_SHOWN = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why there is no answer.

    Args:
        kind: short and the same for all like cases ("429", "timeout", "malformed answer").
        reason: in one line.
        is_retried: whether the same request may succeed later.
        is_fatal: whether every other request will fail likewise.
        is_other_form: whether the question is to be sent again at once, now in the form that the
            endpoint asks for.
        is_too_large: whether there is an answer that is longer than allowed.
        may_be_paid: whether the endpoint may have answered all the same.
        retry_after: seconds it asked for.
    """

    kind: str
    reason: str
    is_retried: bool = False
    is_fatal: bool = False
    is_other_form: bool = False
    is_too_large: bool = False
    may_be_paid: bool = False
    retry_after: float | None = None


class Exchange:
    """Sends requests to one address.

    Args:
        url: where to.
        api_key: sent as a bearer token and never shown; None for none.
        limits: time, size and number of what is under way.
        asking: in one piece or as a stream; learns from refusals.
    """

    def __init__(
        self, url: str, *, api_key: str | None, limits: EndpointLimits, asking: Asking
    ) -> None:
        self._url, self._limits, self._asking = url, limits, asking
        self._secret = Secret(api_key)
        headers = {"Content-Type": "application/json"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        host = httpx2.URL(url).host
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=limits.timeout,
            limits=httpx2.Limits(max_connections=limits.concurrency),
            # a proxy of the environment is for the outside
            trust_env=host not in {"localhost", "127.0.0.1", "::1"},
        )

    async def send(self, request: ChatRequest) -> Answer | Trouble:
        """Send it once."""
        form = self._asking.form
        reply = Reply(self._limits.max_body)
        try:
            async with asyncio.timeout(self._limits.timeout) as deadline:
                body = request.asking(self._asking.fields(form))
                async with self._client.stream("POST", self._url, content=body) as response:
                    await reply.read(response, deadline)
        except (TimeoutError, httpx2.RequestError, httpx2.StreamError) as error:
            if not reply.is_whole_stream:
                return self._not_arrived(error)
        except TooLargeError:
            if not reply.is_whole_stream:
                most = self._limits.max_body / 2**20
                return _too_large(f"a reply of more than {most:g} MiB; --max-body allows more")
        except ValueError as error:
            return self._malformed(str(error))
        return self._read(reply, form)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def without_key(self, text: str) -> str:
        """What a model wrote, as it may be stored and shown."""
        return self._secret.hide_in_answer(text)

    def _not_arrived(self, error: Exception) -> Trouble:
        if isinstance(error, (TimeoutError, httpx2.TimeoutException)):
            reason = f"no answer within {self._limits.timeout:g} s"
            return Trouble(kind="timeout", reason=reason, is_retried=True, may_be_paid=True)
        told = self._shown(str(error))
        if isinstance(error, httpx2.ConnectError):
            return Trouble(kind="no connection", reason=f"no connection: {told}", is_retried=True)
        return _cut(told or type(error).__name__)

    def _read(self, reply: Reply, form: AskingForm) -> Answer | Trouble:
        if reply.status != 200:
            return self._refused(reply.status, reply.body, form, reply.headers)
        if reply.stream is None:
            return self._answer(reply.body, form)
        stream = reply.stream
        if stream.error is not None:
            return self._broken_off(stream, form)
        if not stream.is_whole:
            return _cut("the stream ended before the answer did")
        return self._answer(json.dumps(stream.completion()).encode(), form)

    def _answer(self, body: bytes, form: AskingForm) -> Answer | Trouble:
        try:
            check_values(body)
            answer = read_answer(body)
        except ValueError as error:
            if self._asking.learn(form, str(error)):
                return self._other_form(str(error))
            return self._malformed(str(error))
        size, most = len(answer.text.encode()), self._limits.max_text
        if size > most:
            return _too_large(
                f"an answer of {size / 2**20:.1f} MiB of text, above {most / 2**20:g}; "
                "--max-text allows more"
            )
        return answer._replace(text=self.without_key(answer.text))

    def _broken_off(self, stream: ChatStream, form: AskingForm) -> Trouble:
        """An error in the place of an answer, or of its end."""
        body = json.dumps(stream.error).encode()
        status = _status_of(stream.error)
        if status is not None and not stream.has_begun:
            return self._refused(status, body, form, httpx2.Headers())
        is_fatal = _is_out_of_quota(body)
        return Trouble(
            kind="error in a stream",
            reason=f"error in a stream: {self._shown(error_text(body))}",
            is_retried=not is_fatal and (status is None or is_retried(status)),
            is_fatal=is_fatal,
            may_be_paid=stream.has_begun,
        )

    def _refused(
        self, status: int, body: bytes, form: AskingForm, headers: httpx2.Headers
    ) -> Trouble:
        told = error_text(body)
        is_elsewhere = 300 <= status < 400
        may_ask = status >= 400 and status not in {401, 402, 403, 429}
        if may_ask and self._asking.learn(form, told):
            return self._other_form(told)
        reason = f"status {status}: {self._shown(told)}"
        if is_elsewhere:
            place = self._shown(headers.get("location", "nowhere"))
            reason = f"status {status}: it redirects to {place}; give that address instead"
        is_fatal = status in FATAL_STATUS or is_elsewhere or _is_out_of_quota(body)
        return Trouble(
            kind=str(status),
            reason=reason,
            is_retried=is_retried(status) and not is_fatal,
            is_fatal=is_fatal,
            retry_after=retry_after_seconds(headers.get("retry-after")),
        )

    def _other_form(self, told: str) -> Trouble:
        return Trouble(kind="other form", reason=self._shown(told), is_other_form=True)

    def _malformed(self, told: str) -> Trouble:
        reason = f"malformed answer: {self._shown(told)}"
        return Trouble(kind="malformed answer", reason=reason, is_retried=True, may_be_paid=True)

    def _shown(self, text: str) -> str:
        return self._secret.hide(clean(text))[:_SHOWN]


def _cut(told: str) -> Trouble:
    reason = f"connection cut: {told}"
    return Trouble(kind="cut connection", reason=reason, is_retried=True, may_be_paid=True)


def _too_large(told: str) -> Trouble:
    return Trouble(kind="too large", reason=told, is_too_large=True, may_be_paid=True)


def _status_of(error: Any) -> int | None:
    """The status of HTTP that an error in a stream has for itself; None where it has none."""
    inner = error.get("error")
    for holder in (inner, error):
        for name in ("status_code", "status", "code"):
            value = holder.get(name) if isinstance(holder, dict) else None
            text = str(value) if isinstance(value, (int, str)) else ""
            if len(text) == 3 and text.isdecimal() and text >= "400":
                return int(text)
    kind = inner.get("type") if isinstance(inner, dict) else None
    names = (kind, error.get("code"), inner.get("code") if isinstance(inner, dict) else None)
    return 400 if {"invalid_request_error", "InvalidParameter"} & set(map(str, names)) else None


def _is_out_of_quota(body: bytes) -> bool:
    """OpenAI answers 429 also where the account is empty, which no waiting mends."""
    try:
        error: Any = parsed_json(body)["error"]
        return "insufficient_quota" in (error.get("code"), error.get("type"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
