"""Asks a chat endpoint, several questions at a time; light to import, without torch."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from data_pipelines.errors import DataError
from eval.errors import EvaluationError
from eval.respondents.asking_form import Asking, StreamChoice
from eval.respondents.chat_request import chat_request
from eval.respondents.cost import Account, Estimate, Price
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.endpoint_job import EndpointJob
from eval.respondents.question import Prompted
from eval.respondents.rate_limit import Clock, Sleep
from eval.respondents.response import Response
from eval.respondents.response_cache import AnswerStore


@dataclass(kw_only=True, slots=True)
class ChatClient:
    """One endpoint, and what it was asked so far.

    Args:
        config: what is asked.
        limits: how it is asked.
        cache: of answers; None keeps none, so that a killed run pays again.
        api_key: never logged; None for none.
        price: of tokens.
        clock, sleep: for tests.
    """

    config: EndpointConfig
    limits: EndpointLimits = field(default_factory=EndpointLimits)
    cache: AnswerStore | None = None
    api_key: str | None = field(default=None, repr=False)
    price: Price = field(default_factory=Price)
    clock: Clock = time.monotonic
    sleep: Sleep = asyncio.sleep
    account: Account = field(init=False, default_factory=Account)
    _asking: Asking = field(init=False, repr=False)

    def __post_init__(self) -> None:
        told: StreamChoice = self.limits.stream
        if self.config.stream is not None:
            told = "on" if self.config.stream else "off"
        self._asking = Asking(told, self.config.stream_options)

    def respond(
        self,
        questions: Sequence[Prompted],
        *,
        config: EndpointConfig | None = None,
        cache: AnswerStore | None = None,
        is_known: bool = False,
    ) -> Iterator[Response]:
        """Responses as they arrive, setting by setting.

        Args:
            questions: what is asked.
            config: what is asked of the endpoint this time; None: as ever.
            cache: of the answers to these; None: that of all.
            is_known: whether the endpoint has answered such questions before, so that none is asked
                alone first.
        Raises:
            EvaluationError: the address, the key or the form of the requests is wrong, the
                endpoint stays away, or the money is spent.
        """
        with asyncio.Runner() as runner:
            job = EndpointJob(
                config or self.config,
                self.limits,
                cache=self.cache if cache is None else cache,
                api_key=self.api_key,
                price=self.price,
                account=self.account,
                asking=self._asking,
                clock=self.clock,
                sleep=self.sleep,
                is_known=is_known,
            )
            try:
                for _, group in groupby(questions, key=lambda question: question.setting):
                    runner.run(job.start(list(group)))
                    while (response := runner.run(job.next_response())) is not None:
                        yield response
            finally:
                runner.run(job.close())

    def estimate(self, questions: Sequence[Prompted]) -> Estimate:
        """What asking them would take; reads all media and sends nothing."""
        requests = cached = broken = size = tokens = 0
        for question in questions:
            try:
                request = chat_request(question, self.config)
            except DataError:
                broken += 1
                continue
            if self.cache is not None and self.cache.get(request.key) is not None:
                cached += 1
                continue
            requests, size = requests + 1, size + len(request.body)
            tokens += request.tokens
        most = requests * self.config.max_tokens
        return Estimate(requests, cached, broken, size, tokens, most, self.price.of(tokens, most))


def api_key_from(variable: str | None) -> str | None:
    """The key in an environment variable; None where no variable is named.

    Raises:
        EvaluationError: it is not set, or holds what no header can.
    """
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise EvaluationError(f"the environment variable {variable} holds no API key; set it first")
    if not (key.isascii() and key.isprintable()):
        raise EvaluationError(f"the API key in {variable} has characters that no header can hold")
    return key
