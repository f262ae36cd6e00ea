"""Requests and tokens per minute, shared by everything that asks one endpoint."""

import asyncio
import time
from collections.abc import Awaitable, Callable

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


class Bucket:
    """A token bucket: refills evenly, holds one second's worth, and serves in order of asking.

    In any span of t seconds at most ``per_minute * t / 60`` plus one second's worth (at least one
    unit) is given out. An amount above what the bucket holds is given once it is full; the debt
    delays the next one.

    Args:
        per_minute: units; above 0.
        clock: seconds, never going back.
        sleep: waits that many seconds.
    """

    def __init__(
        self, per_minute: float, *, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        if per_minute <= 0:
            raise ValueError(f"a rate is above 0, not {per_minute}")
        self._per_second = per_minute / 60.0
        self._capacity = max(1.0, self._per_second)
        self._level = self._capacity
        self._clock, self._sleep = clock, sleep
        self._filled = clock()
        self._turn = asyncio.Lock()

    async def take(self, amount: int = 1) -> None:
        """Wait until ``amount`` may be used."""
        async with self._turn:
            needed = min(amount, self._capacity)
            self._refill()
            while self._level < needed - 1e-9:
                await self._sleep((needed - self._level) / self._per_second)
                self._refill()
            self._level -= amount

    def _refill(self) -> None:
        now = self._clock()
        self._level = min(self._capacity, self._level + (now - self._filled) * self._per_second)
        self._filled = now


class Throttle:
    """All limits of one endpoint: requests and tokens per minute, and pauses it has asked for.

    Args:
        requests_per_minute, tokens_per_minute: None for no limit.
        clock, sleep: see ``Bucket``.
    """

    def __init__(
        self,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        clock: Clock = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        rates = (requests_per_minute, tokens_per_minute)
        self._requests, self._tokens = (
            None if rate is None else Bucket(rate, clock=clock, sleep=sleep) for rate in rates
        )
        self._resume = clock()

    def hold(self, seconds: float) -> None:
        """Let nothing through for that long: a 429 with Retry-After concerns every request."""
        self._resume = max(self._resume, self._clock() + seconds)

    async def admit(self, tokens: int) -> None:
        """Wait until a request of about so many tokens may be sent."""
        if self._requests is not None:
            await self._requests.take()
        if self._tokens is not None:
            await self._tokens.take(tokens)
        while (left := self._resume - self._clock()) > 0:
            await self._sleep(left)
