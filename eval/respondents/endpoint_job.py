"""The questions of one command under way: workers, tries, probe, money and the reasons to stop."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from data_pipelines.errors import DataError
from eval.errors import EvaluationError
from eval.respondents.asking_form import Asking
from eval.respondents.chat_request import Answer, ChatRequest, broken_media, chat_request
from eval.respondents.cost import Account, Price, text_tokens
from eval.respondents.endings import ending_of
from eval.respondents.endpoint_config import EndpointConfig, EndpointLimits
from eval.respondents.exchange import Exchange, Trouble
from eval.respondents.question import Prompted
from eval.respondents.rate_limit import Clock, Sleep, Throttle
from eval.respondents.response import Response
from eval.respondents.response_cache import AnswerStore

#: Refusals in a row, before any answer of a setting, after which the job stops.
_PROBES = 3


class _Asked(NamedTuple):
    """A response, and whether the endpoint was asked for it."""

    response: Response
    was_asked: bool


class _End(NamedTuple):
    """Nothing more comes; ``error`` says why where that is not because all is done."""

    error: BaseException | None


class EndpointJob:
    """Asks the questions of one setting after the other; all methods run in one event loop.

    Of each setting one question is asked alone first, unless the endpoint is known to answer such
    (``is_known``).
    """

    def __init__(
        self,
        config: EndpointConfig,
        limits: EndpointLimits,
        *,
        cache: AnswerStore | None,
        api_key: str | None,
        price: Price,
        account: Account,
        asking: Asking,
        clock: Clock,
        sleep: Sleep,
        is_known: bool = False,
    ) -> None:
        self._config, self._limits, self._cache = config, limits, cache
        self._is_known = is_known
        self._price, self._account, self._sleep = price, account, sleep
        self._exchange = Exchange(
            config.chat_url,
            api_key=api_key,
            limits=limits,
            asking=asking,
        )
        self._throttle = Throttle(
            requests_per_minute=limits.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute,
            clock=clock,
            sleep=sleep,
        )
        self._done: asyncio.Queue[Response | _End] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._stopped: EvaluationError | None = None
        self._halt = asyncio.Event()
        self._failed_in_a_row = 0
        self._reserved = 0.0

    async def start(self, questions: Sequence[Prompted]) -> None:
        """Begin with the questions of one setting."""
        self._task = asyncio.create_task(self._run(questions))

    async def next_response(self) -> Response | None:
        """The next response; None when all questions of the setting have one.

        Raises:
            EvaluationError: nothing more can be asked.
        """
        found = await self._done.get()
        if not isinstance(found, _End):
            return found
        if found.error is not None:
            raise found.error
        return None

    async def close(self) -> None:
        """Stop what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._exchange.close()

    async def _run(self, questions: Sequence[Prompted]) -> None:
        waiting = iter(questions)
        error: BaseException | None = None
        try:
            if not self._is_known:
                await self._probe(waiting)
            async with asyncio.TaskGroup() as group:
                for _ in range(self._limits.concurrency):
                    group.create_task(self._work(waiting))
            error = self._stopped
        except ExceptionGroup as problems:
            error = problems.exceptions[0]
        except Exception as problem:
            error = problem
        self._done.put_nowait(_End(error))

    async def _probe(self, waiting: Iterator[Prompted]) -> None:
        """Ask one question after the other until the endpoint has answered one.

        Raises:
            EvaluationError: it does not.
        """
        refused: list[Response] = []
        for question in waiting:
            asked = await self._answer(question)
            if self._stopped is not None:
                raise self._stopped
            assert asked is not None
            response = asked.response
            if response.kind == "refused":
                refused.append(response)
                if len(refused) == _PROBES:
                    raise EvaluationError(
                        f"{self._where()} refuses questions of the setting {question.setting}: "
                        f"{response.error}; see which parts the model takes (--setting, "
                        "--audio-part)"
                    )
                continue
            if response.kind == "failed":
                raise EvaluationError(f"{self._where()} does not answer: {response.error}")
            self._done.put_nowait(response)
            if asked.was_asked and not response.kind:
                break
        for response in refused:
            self._done.put_nowait(response)

    async def _work(self, waiting: Iterator[Prompted]) -> None:
        for question in waiting:
            if self._stopped is not None:
                return
            asked = await self._answer(question)
            if asked is None:
                return
            self._done.put_nowait(asked.response)
            failed = asked.response.kind == "failed"
            self._failed_in_a_row = self._failed_in_a_row + 1 if failed else 0
            if self._failed_in_a_row >= self._limits.failures_in_a_row:
                self._stop(
                    f"{self._where()} left {self._failed_in_a_row} questions in a row unanswered "
                    f"({asked.response.error}); run the same command again when it is back"
                )

    async def _answer(self, question: Prompted) -> _Asked | None:
        """The response to a question; None where the job stops before there is one."""
        try:
            request = await asyncio.to_thread(chat_request, question, self._config)
        except DataError as error:
            return _Asked(_without(question, "media", str(error)), False)
        stored = self._stored(question, request)
        if stored is not None:
            self._account.cached += 1
            text = self._exchange.without_key(stored.text or "")
            return _Asked(replace(stored, text=text), False)
        most = self._price.of(request.tokens, self._config.max_tokens)
        if not self._can_afford(most):
            return None
        self._reserved += most
        try:
            response = await self._ask(question, request)
        finally:
            self._reserved -= most
        return None if response is None else _Asked(response, True)

    def _stored(self, question: Prompted, request: ChatRequest) -> Response | None:
        found = self._cache.get(request.key) if self._cache is not None else None
        if found is None or not isinstance(found.get("text"), str):
            return None
        answer = Answer(
            found["text"],
            found.get("input_tokens"),
            found.get("output_tokens"),
            ending_of(found.get("ending")),
            found.get("reasoning_chars", 0),
            found.get("num_choices", 1),
        )
        return _with(question, answer)

    async def _ask(self, question: Prompted, request: ChatRequest) -> Response | None:
        """Send it until there is an answer or no use in trying again."""
        attempt = 0
        while True:
            if not await self._unless_stopped(self._throttle.admit(request.tokens)):
                return None
            attempt += 1
            self._account.sent += 1
            self._account.retried += attempt > 1
            outcome = await self._exchange.send(request)
            if isinstance(outcome, Answer):
                return self._keep(question, request, outcome)
            if outcome.is_other_form:
                attempt -= 1
                continue
            self._account.troubles[outcome.kind] += 1
            self._account.lost += outcome.may_be_paid
            if outcome.is_fatal:
                self._stop(f"{self._where()}: {outcome.reason}; mend the address, key or account")
                return None
            if outcome.is_too_large:
                return _without(question, "failed", outcome.reason)
            if not outcome.is_retried:
                return await self._refused(question, outcome)
            wait = self._limits.backoff.delay(attempt, request.key, outcome.retry_after)
            if wait is None:
                told = f"{outcome.reason} (try {attempt} of {self._limits.backoff.tries})"
                return _without(question, "failed", told)
            if outcome.retry_after:
                self._throttle.hold(outcome.retry_after)
            if not await self._unless_stopped(self._sleep(wait)):
                return None

    def _keep(self, question: Prompted, request: ChatRequest, answer: Answer) -> Response:
        """Store a paid answer, then count it."""
        if self._cache is not None:
            self._cache.put(request.key, {"model": self._config.model, **answer._asdict()})
        sent, written = answer.input_tokens, answer.output_tokens
        sent = request.tokens if sent is None else sent
        written = text_tokens(answer.text) if written is None else written
        account = self._account
        account.answered += 1
        account.input_tokens += sent
        account.output_tokens += written
        account.cost += self._price.of(sent, written)
        return _with(question, answer)

    async def _refused(self, question: Prompted, trouble: Trouble) -> Response:
        name = await asyncio.to_thread(broken_media, question, self._config)
        if name is not None:
            told = f"{name} cannot be decoded, and the endpoint refuses it: {trouble.reason}"
            return _without(question, "media", told)
        return _without(question, "refused", trouble.reason)

    def _can_afford(self, most: float) -> bool:
        """Whether a request of at most this cost is allowed; stops the job where it is not."""
        limit = self._limits.max_cost
        if limit is None or self._account.cost + self._reserved + most <= limit:
            return True
        self._stop(
            f"the next question might bring the cost over --max-cost {limit:g} (spent "
            f"{self._account.cost:.4f}); run the same command again to go on, answered questions "
            "are kept"
        )
        return False

    async def _unless_stopped(self, waiting: Awaitable[None]) -> bool:
        """Wait, but no longer than the job goes on; whether it does."""
        waiter = asyncio.ensure_future(waiting)
        stopper = asyncio.ensure_future(self._halt.wait())
        try:
            await asyncio.wait({waiter, stopper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
            stopper.cancel()
        return self._stopped is None

    def _stop(self, message: str) -> None:
        if self._stopped is None:
            self._stopped = EvaluationError(message)
            self._halt.set()

    def _where(self) -> str:
        return f"{self._config.shown_url} (model {self._config.model})"


def _with(question: Prompted, answer: Answer) -> Response:
    return Response(
        index=question.index,
        setting=question.setting,
        text=answer.text,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        ending=answer.ending,
        reasoning_chars=answer.reasoning_chars,
        num_choices=answer.num_choices,
    )


def _without(question: Prompted, kind: str, reason: str) -> Response:
    told = " ".join(reason.split())[:300]
    return Response(index=question.index, setting=question.setting, error=told, kind=kind)
