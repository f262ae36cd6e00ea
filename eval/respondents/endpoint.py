"""Any model behind an OpenAI-compatible chat endpoint."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from eval.respondents.chat_client import ChatClient
from eval.respondents.cost import Account, Estimate, Price
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.instructed import InstructedModel
from eval.respondents.question import Prompted
from eval.respondents.rate_limit import Clock, Sleep
from eval.respondents.response import Response
from eval.respondents.response_cache import AnswerStore


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
        cache: AnswerStore | None = None,
        api_key: str | None = None,
        price: Price | None = None,
        device: str | torch.device = "cpu",
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(max_side=config.max_side)
        self.config = config
        self.device = torch.device(device)
        self._client = ChatClient(
            config=config,
            limits=limits or EndpointLimits(),
            cache=cache,
            api_key=api_key,
            price=price or Price(),
            clock=clock,
            sleep=sleep,
        )

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

    @property
    def account(self) -> Account:
        """What has been asked so far."""
        return self._client.account

    @property
    def limits(self) -> EndpointLimits:
        """How it is asked."""
        return self._client.limits

    @property
    def cache(self) -> AnswerStore | None:
        """Of answers."""
        return self._client.cache

    @property
    def price(self) -> Price:
        """Of tokens."""
        return self._client.price

    def respond(self, questions: Sequence[Prompted]) -> Iterator[Response]:
        """See ``Respondent``; responses come as they arrive, setting by setting.

        Raises:
            EvaluationError: the address, the key or the form of the requests is wrong, the
                endpoint stays away, or the money is spent.
        """
        return self._client.respond(questions)

    def write(
        self, questions: Sequence[Prompted], *, max_tokens: int, num_beams: int
    ) -> Iterator[Response]:
        """See ``InstructedModel``; endpoints know no beams and write greedily.

        Raises:
            EvaluationError: see ``respond``.
        """
        config = replace(self.config, max_tokens=max_tokens)
        return self._client.respond(questions, config=config)

    def estimate(self, questions: Sequence[Prompted]) -> Estimate:
        """What asking them would take; reads all media and sends nothing."""
        return self._client.estimate(questions)
