"""Opens "http://HOST/v1#MODEL": a chat endpoint with what a user may choose about it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from data_pipelines.bounded_json import parsed_json
from data_pipelines.options import option
from eval.errors import EvaluationError
from eval.respondents.asking_form import StreamChoice
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.media_parts import AudioForm
from eval.respondents.retry import Backoff
from vlsuite.models.opening import ModelName, openers

if TYPE_CHECKING:
    import torch

    from eval.respondents.chat_client import ChatClient
    from eval.respondents.endpoint import Endpoint


@openers.register("http")
@openers.register("https")
@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointSettings:
    """Choices about an endpoint; what is None stands as ``EndpointConfig`` and others have it.

    Attributes:
        style: vlsuite (default), upstream, lmms or evalscope: order, options, wording.
        system: system prompt (default: none).
        max_tokens: of an answer to a question with options (default: 512; transformers 128).
        max_side: scale larger pictures down (default: as stored; 448 where a task hands over
            pixels).
        key_env: environment variable with the API key (default: no key).
        audio_part: how sounds are sent: input_audio (OpenAI, vLLM; default), data_uri (the same
            with a data URI: DashScope), audio_url (vLLM).
        temperature: 0 (default), another number, or none to send none.
        max_tokens_field: how the endpoint calls the limit of an answer (default: max_tokens).
        extra: further fields of the request, as a JSON object.
        stream: ask for answers as a stream of events: on, off, or auto (default: in one piece until
            the endpoint says that it only streams, as hosted Qwen-Omni does).
        concurrency: requests at a time (default: 8).
        requests_per_minute: (default: no limit).
        tokens_per_minute: as estimated (default: no limit).
        timeout: seconds a try may take (default: 120).
        max_body: what a reply may have, decompressed, MiB (default: 64).
        max_text: what the text of an answer may have, MiB (default: 1).
        tries: of one question (default: 8).
        first_wait: before the second try; doubles (default: 1).
        cache: where paid answers are kept (default: $XDG_CACHE_HOME/vlsuite/answers, else
            ~/.cache/vlsuite/answers).
        no_cache: keep no answers, pay each time.
        price_in: of a million tokens sent (default: 0).
        price_out: of a million tokens written (default: 0).
        max_cost: stop before this command has cost more.
    """

    style: str | None = None
    system: str | None = option(default=None, metavar="TEXT")
    max_tokens: int | None = option(default=None, metavar="N")
    max_side: int | None = option(default=None, metavar="PX")
    key_env: str | None = option(default=None, metavar="NAME")
    audio_part: AudioForm | None = None
    temperature: str | None = option(default=None, metavar="T")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    extra: str | None = option(default=None, metavar="JSON")
    stream: StreamChoice | None = None
    concurrency: int | None = option(default=None, metavar="N")
    requests_per_minute: float | None = option(default=None, metavar="N")
    tokens_per_minute: float | None = option(default=None, metavar="N")
    timeout: float | None = option(default=None, metavar="S")
    max_body: float | None = option(default=None, metavar="MIB")
    max_text: float | None = option(default=None, metavar="MIB")
    tries: int | None = option(default=None, metavar="N")
    first_wait: float | None = option(default=None, metavar="S")
    cache: Path | None = option(default=None, metavar="DIR")
    no_cache: bool = False
    price_in: float | None = option(default=None, metavar="P")
    price_out: float | None = option(default=None, metavar="P")
    max_cost: float | None = option(default=None, metavar="C")

    def __post_init__(self) -> None:
        if self.max_cost is not None and not (self.price_in or self.price_out):
            raise EvaluationError(
                "--max-cost needs the prices: --price-in and --price-out, a million"
            )
        if self.cache is not None and self.no_cache:
            raise EvaluationError(
                "--cache and --no-cache exclude each other; leave one of them out"
            )

    def open(self, rest: str, device: "torch.device") -> "Endpoint":
        """The endpoint; nothing is sent.

        Raises:
            EvaluationError: a setting is wrong, or there is no key in ``key_env``.
        """
        from eval.respondents.endpoint import Endpoint

        client = self.client(rest)
        return Endpoint(
            client.config,
            limits=client.limits,
            cache=client.cache,
            api_key=client.api_key,
            price=client.price,
            device=device,
        )

    def client(self, rest: str) -> "ChatClient":
        """The same for texts alone, without torch.

        Args:
            rest: "http://HOST/v1#MODEL".
        Raises:
            EvaluationError: a setting is wrong, or there is no key in ``key_env``.
        """
        from eval.respondents.chat_client import ChatClient, api_key_from
        from eval.respondents.cost import Price
        from eval.respondents.response_cache import ResponseCache

        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = self.cache or base / "vlsuite" / "answers"
        config = self._config(rest)
        if self.stream in ("on", "off") and config.stream not in (None, self.stream == "on"):
            raise EvaluationError(
                f"--stream {self.stream} and stream in --extra disagree; leave one of them out"
            )
        return ChatClient(
            config=config,
            limits=self._limits(),
            cache=None if self.no_cache else ResponseCache(folder),
            api_key=api_key_from(self.key_env),
            price=Price(self.price_in or 0.0, self.price_out or 0.0),
        )

    def _config(self, rest: str) -> EndpointConfig:
        url, model = ModelName(rest.partition(":")[0], rest).halves
        told = {
            "style": self.style,
            "max_tokens": self.max_tokens,
            "max_tokens_field": self.max_tokens_field,
            "audio_form": self.audio_part,
            "extra": None if self.extra is None else _json_object(self.extra),
        }
        chosen = _given(told)
        if self.temperature is not None:
            chosen["temperature"] = _number(self.temperature)
        return EndpointConfig(
            url=url, model=model, system=self.system, max_side=self.max_side, **chosen
        )

    def _limits(self) -> EndpointLimits:
        waiting = Backoff(**_given({"tries": self.tries, "base": self.first_wait}))
        pressed = {
            "concurrency": self.concurrency,
            "timeout": self.timeout,
            "stream": self.stream,
            "max_body": _bytes(self.max_body, "--max-body"),
            "max_text": _bytes(self.max_text, "--max-text"),
        }
        return EndpointLimits(
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            max_cost=self.max_cost,
            backoff=waiting,
            **_given(pressed),
        )


def _given(told: dict[str, Any]) -> dict[str, Any]:
    """Without what was not chosen, so that defaults stand in one place."""
    return {name: value for name, value in told.items() if value is not None}


def _bytes(mebibytes: float | None, name: str) -> int | None:
    if mebibytes is None:
        return None
    if not 0 < mebibytes < float("inf"):
        raise EvaluationError(f"{name} is {mebibytes:g} MiB; it is above 0, finite")
    return max(1, int(mebibytes * 2**20))


def _number(text: str) -> float | None:
    if text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise EvaluationError(f"temperature {text}: give a number or none; 0 or above, finite")
    return value


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = parsed_json(text)
    except ValueError as error:
        raise EvaluationError(f"extra is no JSON ({error}); give an object") from error
    if not isinstance(found, dict):
        raise EvaluationError("extra is no JSON object; give one like '{\"seed\": 0}'")
    return found
