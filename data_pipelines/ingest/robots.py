"""robots.txt of each origin, asked once before the first other request to it (RFC 9309)."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from protego import Protego
from yarl import URL

from data_pipelines.ingest.failures import (
    CRAWL_DELAY,
    ROBOTS,
    ROBOTS_UNREACHABLE,
    FetchError,
)

#: Bytes that are read of it; RFC 9309, section 2.5, asks for at least these.
MOST_BYTES = 500 * 1024

_KEPT = 5_000  # origins
_KEPT_LINES = 200_000  # of their rules, about a kilobyte each

_RULES = ("allow:", "disallow:")
_AGENT_FIELDS = ("user-agent", "useragent", "user agent")  # as Protego reads them
_MOST_WILD = 5_000  # rules with wildcards: each is compared with every address
_TOO_MANY = 429


class Asked(NamedTuple):
    """What came of asking for robots.txt: status of HTTP, and the text of a 2xx."""

    status: int
    text: str = ""


class _Rules(NamedTuple):
    """Of one origin.

    Attributes:
        parsed: None where everything is allowed.
        failure: why nothing is allowed; None where rules are known.
        delay: seconds between requests.
        lines: of the text.
    """

    parsed: Protego | None = None
    failure: FetchError | None = None
    delay: float = 0.0
    lines: int = 1


class Robots:
    """Rules of the origins that were met last.

    Args:
        token: our name.
        ask: fetches a robots.txt, redirects included; raises ``FetchError`` where no answer came.
        slow_down: is told of the ``Crawl-delay`` of a host.
        max_delay: seconds; a host that asks for more is not asked at all.
    """

    def __init__(
        self,
        token: str,
        *,
        ask: Callable[[URL], Awaitable[Asked]],
        slow_down: Callable[[str, float], None],
        max_delay: float,
    ) -> None:
        self._token = token
        self._ask = ask
        self._slow_down = slow_down
        self._max_delay = max_delay
        self._known: OrderedDict[URL, asyncio.Future[_Rules]] = OrderedDict()
        self._lines: dict[URL, int] = {}
        self._num_lines = 0

    async def check(self, url: URL) -> None:
        """Go on if the rules of its origin allow to fetch an address.

        Raises:
            FetchError: they do not, are too many, or cannot be had: RFC 9309, section 2.3.1, takes
                an answer of 5xx (and we take 429) for "nothing is allowed", other 4xx for
                "everything is".
        """
        rules = await self._rules_of(url.origin())
        if rules.failure is not None:
            raise rules.failure.again()
        if rules.parsed is not None and not rules.parsed.can_fetch(str(url), self._token):
            raise FetchError(ROBOTS, "disallowed")
        if rules.delay > self._max_delay:
            raise FetchError(CRAWL_DELAY, f"{rules.delay:g} s")

    async def _rules_of(self, origin: URL) -> _Rules:
        known = self._known.get(origin)
        if known is None or (known.done() and known.cancelled()):
            known = asyncio.ensure_future(self._asked(origin))
            self._known[origin] = known
        else:
            self._known.move_to_end(origin)
        if known.done():
            return known.result()
        # a request that gives up must not end the question of the others
        return await asyncio.shield(known)

    async def _asked(self, origin: URL) -> _Rules:
        rules = await self._read(origin)
        self._num_lines += rules.lines - self._lines.get(origin, 0)
        self._lines[origin] = rules.lines
        while len(self._lines) > 1 and (len(self._lines) > _KEPT or self._num_lines > _KEPT_LINES):
            self._forget(next(one for one in self._known if one in self._lines))
        return rules

    def _forget(self, origin: URL) -> None:
        """The rules of an origin that was not met for long."""
        self._known.pop(origin)
        self._num_lines -= self._lines.pop(origin)

    async def _read(self, origin: URL) -> _Rules:
        try:
            answer = await self._ask(origin / "robots.txt")
        except FetchError as failure:
            told = f"{failure.error} (of robots.txt)".strip()
            return _Rules(failure=FetchError(failure.status, told, http_status=failure.http_status))
        if answer.status >= 500 or answer.status == _TOO_MANY:
            failure = FetchError(
                ROBOTS_UNREACHABLE, f"http {answer.status}", http_status=answer.status
            )
            return _Rules(failure=failure)
        if not 200 <= answer.status < 300:
            return _Rules()
        text = rules_for(self._token, answer.text)
        lines = text.splitlines()
        if sum("*" in line or "$" in line for line in lines) > _MOST_WILD:
            return _Rules(failure=FetchError(ROBOTS, f"over {_MOST_WILD:,} rules with * or $"))
        parsed = Protego.parse(text)
        delay = parsed.crawl_delay(self._token) or 0.0
        if 0 < delay <= self._max_delay:
            self._slow_down(origin.host or "", delay)
        return _Rules(parsed, delay=delay, lines=1 + len(lines))


def rules_for(token: str, text: str) -> str:
    """What of a robots.txt is about us: other robots are one, without rules that are theirs alone.

    Every rule of a group is kept for each robot of it: thousands of both would be millions.
    """
    token, lines = token.lower(), []
    is_ours = is_other = has_rules = False
    for line in text.splitlines():
        agent = _agent_of(line.partition("#")[0].strip())
        if agent is None:
            has_rules = has_rules or line.strip().lower().startswith(_RULES)
            if is_ours:
                lines.append(line)
            continue
        if token.startswith(agent.lower().replace("*", "")):
            lines.append(line)
            is_ours, is_other = True, False
        else:
            is_ours = is_ours and not has_rules  # a line of agents behind rules begins a group
            if has_rules or not is_other:
                lines.append(f"User-agent: {token}-other")
            is_other = True
        has_rules = False
    return "\n".join(lines)


def _agent_of(line: str) -> str | None:
    """The robot that a line names; None where it is another line."""
    field, colon, value = line.partition(":")
    if colon and field.strip().lower() in _AGENT_FIELDS:
        return value.strip()
    if colon and (not value or value[0].isspace()):
        return None
    words = line.split()
    for number in (1, 2):
        if " ".join(words[:number]).lower() in _AGENT_FIELDS:
            return " ".join(words[number:])
    return None
