"""One address to the bytes behind it, or the reason why there are none."""

import asyncio
import email.utils
import os
import time
import zlib
from types import TracebackType
from typing import NamedTuple

import aiohttp
from aiohttp import ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from data_pipelines.ingest import failures
from data_pipelines.ingest.addresses import PublicResolver, is_literal, is_public
from data_pipelines.ingest.failures import FetchError
from data_pipelines.ingest.hosts import Hosts
from data_pipelines.ingest.magic import could_be_picture
from data_pipelines.ingest.opt_out import opted_out_by
from data_pipelines.ingest.robots import MOST_BYTES, Asked, Robots
from data_pipelines.ingest.settings import FetchSettings
from data_pipelines.shards.manifest import tool_version

MAX_REDIRECTS = 5

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
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
    """Holds back requests while more than so many bytes of pictures wait to be stored."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._room = asyncio.Event()
        self._room.set()

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
            answer = await self._tried(url)
            if isinstance(answer, bytes):
                return Fetched(answer, str(url) if url != first else None, 200)
            url = answer
            if url in seen:
                raise FetchError(failures.REDIRECTS, "a loop")
            seen.add(url)
        raise FetchError(failures.REDIRECTS, f"more than {MAX_REDIRECTS}")

    async def _tried(self, url: URL) -> bytes | URL:
        """The bytes, or where they are; tries again after what may pass."""
        for number in range(self._settings.retries + 1):
            try:
                return await self._once(url)
            except FetchError as failure:
                wait = _FIRST_WAIT * 2**number if failure.wait is None else failure.wait
                is_last = number == self._settings.retries
                if is_last or not failure.is_temporary or wait > self._settings.max_wait:
                    raise
                if failure.http_status == 429 or failure.wait is not None:
                    self._hosts.host(url.host or "").pause(wait)
                else:
                    await asyncio.sleep(min(wait, self._settings.max_wait))
        raise AssertionError("the last try returns or raises")

    async def _once(self, url: URL) -> bytes | URL:
        async with self._hosts.host(url.host or "").turn(), self._connections:
            await self._held.wait()
            try:
                async with self._session.get(url, allow_redirects=False) as response:
                    return await self._read(url, response)
            except FetchError:
                raise
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise failure_of(error) from error

    async def _read(self, url: URL, response: ClientResponse) -> bytes | URL:
        status = response.status
        if status in _REDIRECTS and "Location" in response.headers:
            return _redirected(url, response.headers["Location"])
        if status != 200:
            raise FetchError(
                f"http {status}",
                http_status=status,
                is_temporary=status in _TEMPORARY,
                wait=retry_after(response.headers.get("Retry-After")),
            )
        said = opted_out_by(
            response.headers.getall("X-Robots-Tag", ()),
            response.headers.get("TDM-Reservation"),
            token=self._settings.user_agent_token,
            directives=self._settings.directives,
        )
        if said:
            raise FetchError(failures.OPT_OUT, said, http_status=status)
        data = await self._body(response)
        self._held.add(len(data))
        return data

    async def _body(self, response: ClientResponse) -> bytes:
        most = self._settings.max_bytes
        if (response.content_length or 0) > most:
            raise FetchError(failures.TOO_LARGE, f"over {most} bytes", http_status=200)
        body = _Body(response.headers.get("Content-Encoding", ""), most)
        is_checked = False
        while piece := await response.content.readany():
            body.add(piece)
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
            answer = await self._robots_once(url)
            if isinstance(answer, Asked):
                return answer
            url = answer
        return Asked(404)  # RFC 9309, section 2.3.1.2: may be taken for one that is not there

    async def _robots_once(self, url: URL) -> Asked | URL:
        async with self._hosts.host(url.host or "").turn(), self._connections:
            try:
                async with self._session.get(url, allow_redirects=False) as response:
                    if response.status in _REDIRECTS and "Location" in response.headers:
                        return _redirected(url, response.headers["Location"])
                    if response.status != 200:
                        return Asked(response.status)
                    body = _Body(response.headers.get("Content-Encoding", ""), MOST_BYTES)
                    while not body.is_full and (piece := await response.content.readany()):
                        body.add(piece, cut=True)
                    return Asked(200, body.whole(cut=True).decode("utf-8", "replace"))
            except FetchError:
                raise
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                raise failure_of(error) from error

    def _refuse_private(self, url: URL) -> None:
        if url.scheme not in ("http", "https") or not url.host:
            raise FetchError(failures.REDIRECTS, f"to {url.scheme or 'nowhere'}")
        if self._settings.allow_private or not is_literal(url.host):
            return
        if not is_public(url.host):
            raise FetchError(failures.PRIVATE, "not asked; --allow-private would")


class _Body:
    """Bytes as they come, unpacked where they are packed, never more than allowed."""

    def __init__(self, encoding: str, most: int) -> None:
        self._parts: list[bytes] = []
        self._most = most
        self.size = 0
        self._unpack = None
        coding = encoding.strip().lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            self._unpack = zlib.decompressobj(wbits=47 if coding != "deflate" else 15)
        elif coding not in ("", "identity"):
            raise FetchError(failures.BROKEN_ANSWER, "an encoding that was not asked for")

    @property
    def is_full(self) -> bool:
        return self.size > self._most

    def add(self, piece: bytes, *, cut: bool = False) -> None:
        if self._unpack is not None:
            try:
                piece = self._unpack.decompress(piece, self._most + 1 - min(self.size, self._most))
            except zlib.error:
                raise FetchError(failures.BROKEN_ANSWER, "broken gzip") from None
        self.size += len(piece)
        self._parts.append(piece)
        if self.is_full and not cut:
            raise FetchError(failures.TOO_LARGE, f"over {self._most} bytes", http_status=200)

    def start(self, number: int) -> bytes:
        """The first bytes."""
        return b"".join(self._parts)[:number]

    def whole(self, *, cut: bool = False) -> bytes:
        if self._unpack is not None and not self._unpack.eof and not cut:
            raise FetchError(failures.WRONG_LENGTH, "the packed body ends early")
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        return data[: self._most] if cut else data


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


def _refuse_other_kinds(start: bytes) -> None:
    if not start:
        raise FetchError(failures.NOT_AN_IMAGE, "an empty body", http_status=200)
    if not could_be_picture(start):
        raise FetchError(failures.NOT_AN_IMAGE, "begins as no picture does", http_status=200)


def retry_after(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header: a number, or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, at.timestamp() - time.time())


def failure_of(error: BaseException) -> FetchError:
    """What a failed request is called; the same words each time, no ports and no memory."""
    if isinstance(error, FetchError):
        return error
    if isinstance(error, TimeoutError):
        return FetchError(failures.TIMEOUT, is_temporary=True)
    if isinstance(error, aiohttp.ClientSSLError):
        return FetchError(failures.TLS, type(error).__name__)
    if isinstance(error, aiohttp.InvalidURL):
        return FetchError("bad url", "refused by the client")
    if isinstance(error, aiohttp.ClientPayloadError):
        return FetchError(failures.WRONG_LENGTH, "the body ends early", is_temporary=True)
    if isinstance(error, aiohttp.ClientResponseError):
        return FetchError(failures.BROKEN_ANSWER, "no HTTP")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return FetchError(failures.CONNECTION, "closed by the server", is_temporary=True)
    if isinstance(error, OSError):
        number = error.errno if isinstance(error.errno, int) else 0
        told = os.strerror(number) if number > 0 else "failed"
        return FetchError(failures.CONNECTION, told, is_temporary=True)
    return FetchError(failures.BROKEN_ANSWER, "no HTTP")
