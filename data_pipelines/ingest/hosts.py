"""How much of one host is asked at once and a second, and when it has to be left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from data_pipelines.ingest.failures import FetchError

#: Requests to a host that fail one after the other, after which no more are made.
MOST_FAILURES = 20

_KEPT = 20_000
_MOST_PAUSES = 10  # as long as one may be, of a host


class Host:
    """Turns of the requests to one host.

    Args:
        connections: requests at once.
        interval: seconds between the starts of two requests.
    """

    def __init__(self, *, connections: int, interval: float) -> None:
        self._turns = asyncio.Semaphore(connections)
        self._interval = interval
        self._next = 0.0  # of the loop's clock
        self._failed = 0
        self._failure: FetchError | None = None
        self._paused = 0.0
        self.users = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it."""
        self.users += 1
        try:
            async with self._turns:
                await self._wait()
                yield
        finally:
            self.users -= 1

    async def _wait(self) -> None:
        now = asyncio.get_running_loop().time()
        while (start := self._next) > now:
            await asyncio.sleep(start - now)
            now = asyncio.get_running_loop().time()
        if self._interval:
            self._next = now + self._interval

    def pause(self, seconds: float, *, longest: float) -> bool:
        """Start no request for some time; those under way go on.

        Args:
            longest: that a pause may be.
        Returns:
            Whether it is waited for: a host that asks for one pause after the other is not.
        """
        now = asyncio.get_running_loop().time()
        added = max(0.0, now + seconds - max(self._next, now))
        if self._paused + added > _MOST_PAUSES * longest:
            return False
        self._paused += added
        self._next = max(self._next, now + seconds)
        return True

    def answered(self) -> None:
        """It is alive."""
        self._failed = 0

    def failed(self, failure: FetchError) -> None:
        """A request found no server, or no end."""
        self._failed += 1
        self._failure = failure

    @property
    def is_dead(self) -> bool:
        """Whether so many requests failed that the rest is not tried."""
        return self._failed >= MOST_FAILURES

    def refuse_dead(self) -> None:
        """Go on unless the host is dead.

        Raises:
            FetchError: that of its last request.
        """
        if self.is_dead and self._failure is not None:
            raise self._failure.again()

    def slow_down(self, interval: float) -> None:
        """Leave at least so many seconds between the starts of two requests."""
        self._interval = max(self._interval, interval)

    @property
    def is_idle(self) -> bool:
        """Whether it can be forgotten: nobody waits, no pause is left, and it is not dead."""
        now = asyncio.get_running_loop().time()
        return not self.users and not self.is_dead and self._next <= now


class Hosts:
    """Hosts by name; idle ones are forgotten when there are many.

    Args:
        connections: requests to one host at once.
        rate: of one host a second; 0: no limit.
    """

    def __init__(self, *, connections: int, rate: float) -> None:
        self._connections = connections
        self._interval = 1 / rate if rate else 0.0
        self._hosts: dict[str, Host] = {}

    def host(self, name: str) -> Host:
        """The host of a name."""
        found = self._hosts.get(name)
        if found is None:
            if len(self._hosts) >= _KEPT:
                self._hosts = {n: h for n, h in self._hosts.items() if not h.is_idle}
            found = Host(connections=self._connections, interval=self._interval)
            self._hosts[name] = found
        return found
