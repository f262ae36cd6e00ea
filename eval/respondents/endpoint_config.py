"""What is asked of a chat endpoint, and how hard it may be pressed."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from eval.errors import EvaluationError
from eval.respondents.asking_form import StreamChoice
from eval.respondents.media_parts import AUDIO_FORMS, AudioForm
from eval.respondents.prompt import checked_style, style_fingerprint
from eval.respondents.retry import Backoff

_CHAT = "/chat/completions"

#: Fields of a request that change how an answer arrives, and not the answer.
_DELIVERY = ("stream", "stream_options")


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointConfig:
    """All that answers depend on.

    Args:
        url: base address, "http://127.0.0.1:8000/v1"; a trailing "/chat/completions" is dropped.
        model: as the endpoint calls it.
        style: of the prompts; see ``eval.respondents.prompt``.
        system: system prompt; None for none.
        temperature: None leaves it to the endpoint, as some models demand.
        max_tokens: of an answer.
        max_tokens_field: newer OpenAI models want "max_completion_tokens".
        audio_form: how sounds are sent; see ``media_parts``.
        max_side: longest side of pictures, pixels; None sends them as they are.
        extra: further fields of the request body; "stream" and "stream_options" among them are
            no part of what answers depend on.
    """

    url: str
    model: str
    style: str = "vlsuite"
    system: str | None = None
    temperature: float | None = 0.0
    max_tokens: int = 512
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    audio_form: AudioForm = "input_audio"
    max_side: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not self.model:
            raise EvaluationError(
                f"endpoint '{self.url}#{self.model}': write http(s)://HOST/v1#MODEL"
            )
        checked_style(self.style)
        if self.max_tokens < 1:
            raise EvaluationError(f"max tokens is {self.max_tokens}; it is at least 1")
        if self.max_side is not None and self.max_side < 28:
            raise EvaluationError(f"max side is {self.max_side} pixels; it is at least 28")
        if self.audio_form not in AUDIO_FORMS:
            raise EvaluationError(
                f"audio part '{self.audio_form}' is unknown; choose from {', '.join(AUDIO_FORMS)}"
            )
        taken = {"messages", "model"} & set(self.extra)
        if taken:
            raise EvaluationError(f"extra fields may not set {', '.join(sorted(taken))}")
        if not isinstance(self.extra.get("stream", False), bool):
            raise EvaluationError("extra field stream is true or false")
        if not isinstance(self.extra.get("stream_options") or {}, dict):
            raise EvaluationError("extra field stream_options is an object, or null for none")

    @property
    def chat_url(self) -> str:
        """Address that questions are sent to."""
        return self.url.rstrip("/").removesuffix(_CHAT) + _CHAT

    @property
    def shown_url(self) -> str:
        """The same without user and password, for messages."""
        scheme, _, rest = self.chat_url.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"

    def parameters(self) -> dict[str, Any]:
        """Fields of the request body besides the messages and the form of delivery."""
        found: dict[str, Any] = {"model": self.model, self.max_tokens_field: self.max_tokens}
        if self.temperature is not None:
            found["temperature"] = self.temperature
        return {**found, **self._asked}

    @property
    def stream(self) -> bool | None:
        """Whether ``extra`` asks for streams; None where it does not say."""
        return self.extra.get("stream")

    @property
    def stream_options(self) -> dict[str, Any] | None:
        """Of streamed requests; None for our own, where ``extra`` has none."""
        return (self.extra["stream_options"] or {}) if "stream_options" in self.extra else None

    @property
    def _asked(self) -> dict[str, Any]:
        return {name: value for name, value in self.extra.items() if name not in _DELIVERY}

    @property
    def fingerprint(self) -> str:
        """SHA-256 over address, parameters and the wording of the prompts."""
        told = {**asdict(self), "url": self.chat_url, "wording": style_fingerprint(self.style)}
        told["extra"] = self._asked
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointLimits:
    """How the endpoint is asked; answers do not depend on it.

    Args:
        concurrency: requests under way at a time.
        requests_per_minute, tokens_per_minute: None for no limit of ours.
        timeout: seconds one try may take in all.
        stream: whether answers are asked for as streams; see ``asking_form``.
        max_body: bytes of a reply, decompressed; above, it is no answer and is not asked for again.
        max_text: bytes of an answer's text in UTF-8; likewise.
        backoff: waiting times and number of tries.
        max_cost: what one command may spend, in the currency of the prices; None for no limit.
        failures_in_a_row: unanswered questions after which the endpoint is taken to be away.
    """

    concurrency: int = 8
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout: float = 120.0
    stream: StreamChoice = "auto"
    max_body: int = 64 * 2**20
    max_text: int = 2**20
    backoff: Backoff = Backoff()
    max_cost: float | None = None
    failures_in_a_row: int = 10

    def __post_init__(self) -> None:
        for name in (
            "concurrency", "requests_per_minute", "tokens_per_minute", "timeout",
            "max_body", "max_text",
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise EvaluationError(f"{name.replace('_', ' ')} is {value}; it is above 0")
        if self.max_cost is not None and self.max_cost < 0:
            raise EvaluationError(f"max cost is {self.max_cost}; it is not negative")
