"""Addresses that a list of strangers must not make us ask: those of our own network.

A name is looked up here and the connection goes to the addresses that were checked, so that a name
server cannot give a public address for the check and a private one for the connection.
"""

import asyncio
import ipaddress
import socket
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver

from data_pipelines.ingest.failures import DNS, PRIVATE, FetchError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LOOKUPS = 32  # at once: a dead name server keeps each waiting for seconds
_KEPT = 100_000


def is_public(text: str) -> bool:
    """Whether an IP address belongs to the open internet; False for what is no address.

    An IPv6 address that carries one of IPv4 (mapped, 6to4, Teredo, NAT64) is what that one is.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        carried = _carried(address)
        if carried is not None:
            return is_public(str(carried))
    return address.is_global and not address.is_multicast and not address.is_reserved


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def is_literal(host: str) -> bool:
    """Whether a host is given as an IP address, which no name server is asked for."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


class PublicResolver(AbstractResolver):
    """Looks names up, once each, and gives public addresses only.

    Args:
        allow_private: give all.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._known: OrderedDict[tuple[str, int], asyncio.Future] = OrderedDict()
        self._threads = ThreadPoolExecutor(_LOOKUPS, thread_name_prefix="dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[Any]:
        """Addresses of a host.

        Raises:
            FetchError: there is no such name, or all its addresses are private.
        """
        key = (host, port)
        if key not in self._known:
            self._known[key] = asyncio.ensure_future(self._looked_up(host, port, family))
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        # a request that gives up must not end the look-up of the others
        found = await asyncio.shield(self._known[key])
        if isinstance(found, FetchError):
            raise found.again()
        return found

    async def _looked_up(
        self, host: str, port: int, family: socket.AddressFamily
    ) -> list[dict[str, Any]] | FetchError:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _addresses, host, port, int(family))
        except (OSError, UnicodeError) as error:
            told = getattr(error, "strerror", None) or "no valid name"
            return FetchError(DNS, told)
        if not self._allow_private:
            found = [one for one in found if is_public(one["host"])]
            if not found:
                return FetchError(PRIVATE, "the name leads to a private address")
        return found

    async def close(self) -> None:
        """End the threads; look-ups under way are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str, port: int, family: int) -> list[dict[str, Any]]:
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, family=family, flags=socket.AI_ADDRCONFIG
    )
    return [
        {
            "hostname": host,
            "host": address[0],
            "port": address[1],
            "family": kind,
            "proto": protocol,
            "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        }
        for kind, _, protocol, _, address in found
    ]
