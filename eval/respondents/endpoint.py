"""Any model behind an OpenAI-compatible chat endpoint."""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import torch

from data_pipelines.errors import DataError
from eval.errors import EvaluationError
from eval.respondents.asking_form import Asking, StreamChoice
from eval.respondents.chat_request import chat_request
from eval.respondents.cost import Account, Estimate, Price
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.endpoint_job import EndpointJob
from eval.respondents.instructed import InstructedModel
from eval.respondents.question import Prompted
from eval.respondents.rate_limit import Clock, Sleep
from eval.respondents.response import Response
from eval.respondents.response_cache import ResponseCache


class Endpoint(InstructedModel):
    """Asks a chat endpoint, several questions at a time, each answer paid once.

    Every answer is in the cache on disk before it counts. Before the questions of a setting one is
    asked alone, so that a wrong address, key or form of audio costs one request.

    Args:
        config: what is asked.
        limits: how it is asked.
        cache: of answers; None keeps none, so that a killed run pays again.
        api_key: never logged; None for none.
        price: of tokens.
        device: where processes of one evaluation exchange what they have; nothing is computed here.
        clock, sleep: for tests.
    """

    def __init__(
        self,
        config: EndpointConfig,
        *,
        limits: EndpointLimits | None = None,
        cache: ResponseCache | None = None,
        api_key: str | None = None,
        price: Price | None = None,
        device: str | torch.device = "cpu",
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(max_side=config.max_side)
        self.config = config
        self.limits = limits or EndpointLimits()
        self.cache = cache
        self.price = price or Price()
        self.account = Account()
        self.device = torch.device(device)
        self._api_key = api_key
        told: StreamChoice = self.limits.stream
        if config.stream is not None:
            told = "on" if config.stream else "off"
        self._asking = Asking(told, config.stream_options)
        self._clock, self._sleep = clock, sleep

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self.config.model

    @property
    def fingerprint(self) -> str:
        """SHA-256 over address, parameters and the wording of the prompts."""
        return self.config.fingerprint

    @property
    def style(self) -> str:
        """Of its prompts."""
        return self.config.style

    def respond(self, questions: Sequence[Prompted]) -> Iterator[Response]:
        """See ``Respondent``; responses come as they arrive, setting by setting.

        Raises:
            EvaluationError: the address, the key or the form of the requests is wrong, the
                endpoint stays away, or the money is spent.
        """
        return self._respond(questions, self.config)

    def write(
        self, questions: Sequence[Prompted], *, max_tokens: int, num_beams: int
    ) -> Iterator[Response]:
        """See ``InstructedModel``; endpoints know no beams and write greedily.

        Raises:
            EvaluationError: see ``respond``.
        """
        return self._respond(questions, replace(self.config, max_tokens=max_tokens))

    def _respond(self, questions: Sequence[Prompted], config: EndpointConfig) -> Iterator[Response]:
        with asyncio.Runner() as runner:
            job = EndpointJob(
                config,
                self.limits,
                cache=self.cache,
                api_key=self._api_key,
                price=self.price,
                account=self.account,
                asking=self._asking,
                clock=self._clock,
                sleep=self._sleep,
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
