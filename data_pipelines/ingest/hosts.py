"""How much of one host is asked at once and a second, and when it has to be left alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_KEPT = 20_000


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

    def pause(self, seconds: float) -> None:
        """Start no request for some time; those under way go on."""
        self._next = max(self._next, asyncio.get_running_loop().time() + seconds)

    def slow_down(self, interval: float) -> None:
        """Leave at least so many seconds between the starts of two requests."""
        self._interval = max(self._interval, interval)

    @property
    def is_idle(self) -> bool:
        """Whether it can be forgotten: nobody waits, and no pause is left."""
        return not self.users and self._next <= asyncio.get_running_loop().time()


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
