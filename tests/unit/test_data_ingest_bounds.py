"""What servers can make an ingest hold is bounded: bodies, robots.txt, rules of many hosts."""

import asyncio
import gzip
import tracemalloc

import pytest
from yarl import URL

from data_pipelines.ingest import robots
from data_pipelines.ingest.body import Body
from data_pipelines.ingest.failures import TOO_LARGE, FetchError
from data_pipelines.ingest.fetch import HeldBytes
from data_pipelines.ingest.robots import Asked, Robots


def test_what_follows_a_packed_body_is_neither_kept_nor_without_end():
    body = Body("gzip", 1_000_000)
    body.add(gzip.compress(b"picture"))
    tracemalloc.start()
    for _ in range(99):
        body.add(b"x" * 10_000)
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()
    assert body.whole() == b"picture"
    with pytest.raises(FetchError, match=TOO_LARGE):
        body.add(b"x" * 20_000)


def test_bodies_that_come_together_are_held_up_but_for_the_first():
    most, piece, held_at_once = 1000, b"x" * 100, []

    async def come(held, body, size):
        for _ in range(size // len(piece)):
            body.add(piece)
            await held.grow(body)
            held_at_once.append(held._held)
            await asyncio.sleep(0)
        held.end(body, is_kept=False)

    async def all_come():
        held = HeldBytes(most)
        await asyncio.wait_for(
            asyncio.gather(*(come(held, Body("", 3000), 3000) for _ in range(20))), 30
        )
        return held._held, dict(held._coming)

    assert asyncio.run(all_come()) == (0, {})
    # twice what is allowed, the piece at which each of them stopped, and the rest of the first
    assert most < max(held_at_once) <= 2 * most + 20 * len(piece) + 3000


def _robots(text):
    asked = []

    async def ask(url):
        asked.append(url.host)
        return Asked(200, text)

    return Robots("vlsuite", ask=ask, slow_down=lambda host, delay: None, max_delay=9.0), asked


def test_many_robots_with_many_rules_are_not_multiplied():
    names = "".join(f"User-agent: a{n}\n" for n in range(20_000))
    rules = "".join(f"Disallow: /{n}\n" for n in range(20_000))
    known, _ = _robots(f"{names}{rules}User-agent: vlsuite\nDisallow: /secret\n")

    async def check():
        await known.check(URL("http://h/1"))
        with pytest.raises(FetchError, match="disallowed"):
            await known.check(URL("http://h/secret"))

    asyncio.run(asyncio.wait_for(check(), 60))


def test_rules_of_hosts_met_long_ago_are_forgotten(monkeypatch):
    monkeypatch.setattr(robots, "_KEPT_LINES", 50)
    known, asked = _robots("User-agent: *\n" + "Disallow: /secret\n" * 19)

    async def check(*hosts):
        for host in hosts:
            await known.check(URL(f"http://{host}/1"))

    async def all_checks():
        await check("a", "b", "a", "c", "a", "b")

    asyncio.run(all_checks())
    assert asked == ["a", "b", "c", "b"]  # b was met before a, and made room for c
    assert len(known._known) == 2


def test_rules_that_every_address_would_be_compared_with_are_not_too_many():
    wild = "User-agent: *\n" + "".join(f"Disallow: /*a{n}$\n" for n in range(6_000))
    known, _ = _robots(wild)
    with pytest.raises(FetchError, match="over 5,000 rules with"):
        asyncio.run(known.check(URL("http://h/1")))
    for_others, _ = _robots(wild.replace("*\n", "other\n", 1))
    asyncio.run(for_others.check(URL("http://h/1")))
