"""Waiting times, rates and the cache of answers, on a clock of the test."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eval.respondents.rate_limit import Bucket, Throttle
from eval.respondents.response_cache import ResponseCache
from eval.respondents.retry import Backoff, is_retried, retry_after_seconds


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        await asyncio.sleep(0)


def test_waits_double_up_to_the_ceiling_with_half_of_it_drawn() -> None:
    backoff = Backoff(base=1.0, ceiling=20.0, tries=8)
    for attempt in range(1, 8):
        full = min(20.0, 2.0 ** (attempt - 1))
        delays = [backoff.delay(attempt, f"request {n}") for n in range(200)]
        assert all(d is not None and full / 2 <= d < full for d in delays)
        assert len(set(delays)) == 200
    assert backoff.delay(8, "request") is None


def test_jitter_depends_on_seed_and_request_alone() -> None:
    assert Backoff().delay(2, "a") == Backoff().delay(2, "a")
    assert Backoff().delay(2, "a") != Backoff().delay(2, "b")
    assert Backoff().delay(2, "a") != Backoff(seed=1).delay(2, "a")


def test_retry_after_is_a_lower_bound_and_too_long_gives_up() -> None:
    backoff = Backoff(base=1.0, longest_retry_after=600.0)
    assert backoff.delay(1, "a", 30.0) == 30.0
    assert backoff.delay(1, "a", 0.0) == backoff.delay(1, "a")
    assert backoff.delay(1, "a", 601.0) is None


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    now = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    assert retry_after_seconds("120") == 120.0
    assert retry_after_seconds(" 1.5 ") == 1.5
    assert retry_after_seconds("Mon, 23 Nov 2026 09:02:00 GMT", now=now) == 120.0
    assert retry_after_seconds("Mon, 23 Nov 2026 08:00:00 GMT", now=now) == 0.0
    past = now - timedelta(days=1)
    assert retry_after_seconds("Mon, 23 Nov 2026 10:00:00 +0100", now=past) == 86_400.0
    large = "9" * 30
    dates = (f"Mon, 23 Nov {large} 09:02:00 GMT", f"Mon, 23 Nov 2026 09:02:00 +{large}")
    for unreadable in (None, "", "soon", "-3", "nan", "inf", large * 20, *dates):
        assert retry_after_seconds(unreadable) is None


def test_which_status_is_sent_again() -> None:
    assert all(is_retried(status) for status in (408, 409, 429, 500, 502, 503, 529))
    assert not any(is_retried(status) for status in (400, 401, 403, 404, 413, 422))


def test_bucket_gives_at_most_its_rate_in_any_window() -> None:
    clock = Clock()
    bucket = Bucket(120.0, clock=clock, sleep=clock.sleep)
    moments: list[float] = []

    async def worker() -> None:
        for _ in range(40):
            await bucket.take()
            moments.append(clock.now)

    async def work() -> None:
        await asyncio.gather(*(worker() for _ in range(5)))

    asyncio.run(work())
    assert len(moments) == 200
    for first, moment in enumerate(moments):
        inside = sum(moment <= other < moment + 60 for other in moments[first:])
        assert inside <= 120 + 2
    # 2 at once, then 2 a second
    assert clock.now == pytest.approx(100.0 + 198 / 2, abs=0.1)


def test_bucket_lets_large_amounts_through_and_makes_the_next_one_wait() -> None:
    clock = Clock()
    bucket = Bucket(600.0, clock=clock, sleep=clock.sleep)  # 10 a second, holds 10

    async def work() -> None:
        await bucket.take(100)
        assert clock.now == 100.0
        await bucket.take(10)

    asyncio.run(work())
    assert clock.now == pytest.approx(110.0)
    with pytest.raises(ValueError, match="above 0"):
        Bucket(0.0)


def test_throttle_holds_everyone_after_a_retry_after() -> None:
    clock = Clock()
    throttle = Throttle(clock=clock, sleep=clock.sleep)

    async def work() -> None:
        await throttle.admit(5)
        assert clock.now == 100.0
        throttle.hold(30.0)
        throttle.hold(10.0)
        await throttle.admit(5)

    asyncio.run(work())
    assert clock.now == pytest.approx(130.0)


def test_cache_gives_back_what_was_stored_and_nothing_of_damaged_files(tmp_path: Path) -> None:
    cache = ResponseCache(tmp_path / "answers")
    assert cache.get("ab12") is None
    cache.put("ab12", {"text": "C é", "input_tokens": 3})
    assert ResponseCache(tmp_path / "answers").get("ab12") == {"text": "C é", "input_tokens": 3}
    (file,) = (tmp_path / "answers").rglob("*.json")
    for damaged in (b"", b'{"text": "C', b"[1]", b"\xff"):
        file.write_bytes(damaged)
        assert cache.get("ab12") is None
    cache.put("ab12", {"text": "D"})
    assert cache.get("ab12") == {"text": "D"}
