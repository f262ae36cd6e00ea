"""One address to the bytes behind it, or the reason why there are none."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, TypeVar

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from data_pipelines.ingest import failures
from data_pipelines.ingest.addresses import PublicResolver, is_literal, is_public
from data_pipelines.ingest.body import Body
from data_pipelines.ingest.client_errors import failure_of, retry_after
from data_pipelines.ingest.failures import FetchError
from data_pipelines.ingest.hosts import Host, Hosts
from data_pipelines.ingest.magic import could_be_picture
from data_pipelines.ingest.opt_out import opted_out_by
from data_pipelines.ingest.robots import MOST_BYTES, Asked, Robots
from data_pipelines.ingest.settings import FetchSettings
from data_pipelines.shards.manifest import tool_version

MAX_REDIRECTS = 5

T = TypeVar("T")

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_TOO_MANY = 429
_OF_THE_NAME = frozenset((failures.DNS, failures.PRIVATE))  # no server was asked
_TEMPORARY = frozenset((408, 425, 429, 500, 502, 503, 504))
_FIRST_WAIT = 1.0  # seconds before the second try, twice as many before the third...
_MAGIC_BYTES = 64
_BUFFER = 1 << 18


class Fetched(NamedTuple):
    """Bytes, and where they came from after redirects (None: from the address itself)."""

    data: bytes
    final_url: str | None
    http_status: int


class HeldBytes:
    """Bytes of pictures that come, or wait to be stored.

    More than ``most`` of them hold back new requests; from twice as many on, only the body that
    began first goes on, so that memory is bounded whatever servers send, and never stands still.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._room = asyncio.Event()
        self._room.set()
        self._coming: dict[Body, int] = {}
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        """Until there is room."""
        await self._room.wait()

    def add(self, number: int) -> None:
        """Bytes that came, or went (negative)."""
        self._held += number
        if self._held < self._most:
            self._room.set()
        else:
            self._room.clear()
        if number < 0:
            self._wake()

    async def grow(self, body: Body) -> None:
        """Count what came of a body; returns when more may come."""
        before = self._coming.get(body, 0)
        self._coming[body] = body.size
        self.add(body.size - before)
        while self._held > 2 * self._most and body is not next(iter(self._coming)):
            await self._changed.wait()

    def end(self, body: Body, *, is_kept: bool) -> None:
        """A body came to its end; one that is not kept needs no room any more."""
        came = self._coming.pop(body, 0)
        if not is_kept:
            self.add(-came)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Fetcher:
    """Asks servers as the settings say. An asynchronous context.

    Args:
        settings: of the whole run.
        share: by how many processes the limits of a host are divided.
        held: bytes that are not stored yet.
    """

    def __init__(self, settings: FetchSettings, *, share: int, held: HeldBytes) -> None:
        self._settings = settings
        self._held = held
        self._hosts = Hosts(
            connections=max(1, settings.host_connections // share), rate=settings.host_rate / share
        )
        self._robots = Robots(
            settings.user_agent_token,
            ask=self._robots_txt,
            slow_down=lambda host, delay: self._hosts.host(host).slow_down(delay * share),
            max_delay=settings.max_wait,
        )
        self._connections = asyncio.Semaphore(settings.connections)
        self._resolver = PublicResolver(allow_private=settings.allow_private)
        self._session = _session(settings, self._resolver)

    async def __aenter__(self) -> "Fetcher":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()
        await self._resolver.close()

    async def fetch(self, address: str) -> Fetched:
        """The bytes of a picture; they may be anything that begins like one.

        The caller gives them back to ``held`` when they are stored.

        Raises:
            FetchError: there are none; says why.
        """
        try:
            url = URL(address)
        except ValueError:
            raise FetchError("bad url", "cannot be read") from None
        first, seen = url, {url}
        for _ in range(MAX_REDIRECTS + 1):
            self._refuse_private(url)
            if self._settings.robots:
                await self._robots.check(url)
            answer = await self._tried(url, self._read)
            if isinstance(answer, bytes):
                return Fetched(answer, str(url) if url != first else None, 200)
            url = answer
            if url in seen:
                raise FetchError(failures.REDIRECTS, "a loop")
            seen.add(url)
        raise FetchError(failures.REDIRECTS, f"more than {MAX_REDIRECTS}")

    async def _tried(self, url: URL, read: Callable[[URL, ClientResponse], Awaitable[T]]) -> T:
        """What ``read`` makes of the answer; asks again after what may pass."""
        host = self._hosts.host(url.host or "")
        for number in range(self._settings.retries + 1):
            try:
                return await self._once(url, host, read)
            except FetchError as failure:
                wait = _FIRST_WAIT * 2**number if failure.wait is None else failure.wait
                is_last = number == self._settings.retries or host.is_dead
                if is_last or not failure.is_temporary or wait > self._settings.max_wait:
                    raise
                if failure.http_status != _TOO_MANY and failure.wait is None:
                    await asyncio.sleep(wait)
                elif not host.pause(wait, longest=self._settings.max_wait):
                    raise
        raise AssertionError("the last try returns or raises")

    async def _once(
        self, url: URL, host: Host, read: Callable[[URL, ClientResponse], Awaitable[T]]
    ) -> T:
        async with host.turn(), self._connections:
            host.refuse_dead()
            await self._held.wait()
            try:
                async with self._session.get(url, allow_redirects=False) as response:
                    found = await read(url, response)
            except FetchError as failure:
                if failure.status not in _OF_THE_NAME:
                    host.answered()
                raise
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                failure = failure_of(error)
                if failure.is_temporary:
                    host.failed(failure)
                raise failure from error
            host.answered()
            return found

    async def _read(self, url: URL, response: ClientResponse) -> bytes | URL:
        if response.status in _REDIRECTS and "Location" in response.headers:
            return _redirected(url, response.headers["Location"])
        _refuse_other_statuses(response)
        said = opted_out_by(
            response.headers.getall("X-Robots-Tag", ()),
            response.headers.get("TDM-Reservation"),
            token=self._settings.user_agent_token,
            directives=self._settings.directives,
        )
        if said:
            raise FetchError(failures.OPT_OUT, said, http_status=response.status)
        most = self._settings.max_bytes
        if (response.content_length or 0) > most:
            raise FetchError(failures.TOO_LARGE, f"over {most} bytes", http_status=200)
        body = Body(response.headers.get("Content-Encoding", ""), most)
        is_whole = False
        try:
            data = await self._come(body, response)
            is_whole = True
        finally:
            self._held.end(body, is_kept=is_whole)
        return data

    async def _come(self, body: Body, response: ClientResponse) -> bytes:
        is_checked = False
        while piece := await response.content.readany():
            body.add(piece)
            await self._held.grow(body)
            if not is_checked and body.size >= _MAGIC_BYTES:
                _refuse_other_kinds(body.start(_MAGIC_BYTES))
                is_checked = True
        data = body.whole()
        if not is_checked:
            _refuse_other_kinds(data[:_MAGIC_BYTES])
        return data

    async def _robots_txt(self, url: URL) -> Asked:
        """robots.txt with redirects followed; its first bytes are enough."""
        for _ in range(MAX_REDIRECTS + 1):
            self._refuse_private(url)
            try:
                answer = await self._tried(url, _read_robots)
            except FetchError as failure:
                if failure.http_status is None:
                    raise
                return Asked(failure.http_status)
            if isinstance(answer, Asked):
                return answer
            url = answer
        return Asked(404)  # RFC 9309, section 2.3.1.2: may be taken for one that is not there

    def _refuse_private(self, url: URL) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise FetchError(failures.REDIRECTS, f"to {url.scheme or 'nowhere'}")
        if self._settings.allow_private or not is_literal(url.host):
            return
        if not is_public(url.host):
            raise FetchError(failures.PRIVATE, "not asked; --allow-private would")


def _session(settings: FetchSettings, resolver: PublicResolver) -> ClientSession:
    return ClientSession(
        connector=TCPConnector(
            limit=0,
            use_dns_cache=False,  # the resolver remembers
            resolver=resolver,
            ssl=not settings.ignore_ssl_certificate,
        ),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        timeout=ClientTimeout(total=settings.timeout),
        read_bufsize=_BUFFER,
        headers={
            "User-Agent": user_agent(settings),
            "Accept": "image/*,*/*;q=0.5",
            "Accept-Encoding": "identity",
        },
    )


def user_agent(settings: FetchSettings) -> str:
    """The name that servers see."""
    contact = f" (+{settings.contact})" if settings.contact else ""
    return f"{settings.user_agent_token}/{tool_version()}{contact}"


def _redirected(url: URL, location: str) -> URL:
    try:
        to = url.join(URL(location)).with_fragment(None)
    except ValueError:
        raise FetchError(failures.REDIRECTS, "to no address") from None
    if to.scheme not in ("http", "https") or to.user is not None:
        raise FetchError(failures.REDIRECTS, "to another kind of address")
    return to


async def _read_robots(url: URL, response: ClientResponse) -> Asked | URL:
    if response.status in _REDIRECTS and "Location" in response.headers:
        return _redirected(url, response.headers["Location"])
    _refuse_other_statuses(response)
    body = Body(response.headers.get("Content-Encoding", ""), MOST_BYTES)
    while not body.is_full and (piece := await response.content.readany()):
        body.add(piece, cut=True)
    return Asked(200, body.whole(cut=True).decode("utf-8", "replace"))


def _refuse_other_statuses(response: ClientResponse) -> None:
    if response.status != 200:
        raise FetchError(
            f"http {response.status}",
            http_status=response.status,
            is_temporary=response.status in _TEMPORARY,
            wait=retry_after(response.headers.get("Retry-After")),
        )


def _refuse_other_kinds(start: bytes) -> None:
    if not start:
        raise FetchError(failures.NOT_AN_IMAGE, "an empty body", http_status=200)
    if not could_be_picture(start):
        raise FetchError(failures.NOT_AN_IMAGE, "begins as no picture does", http_status=200)
