"""When to ask again, and after how long."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from eval.errors import EvaluationError

#: Answers after which the same request may succeed later; all 5xx besides.
RETRIED_STATUS = frozenset({408, 409, 425, 429})

#: Answers that no request of this job will get past: payment, key, permission, address.
FATAL_STATUS = frozenset({401, 402, 403, 404, 405})


def is_retried(status: int) -> bool:
    """Whether a request that got this status is sent again."""
    return status in RETRIED_STATUS or status >= 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """Exponential waiting times with jitter that depends on the request alone.

    The k-th wait is ``base * 2**k``, at most ``ceiling``, times a draw from [0.5, 1): "equal
    jitter". A server's Retry-After is a lower bound.

    Args:
        base, ceiling: seconds.
        tries: how often a request is sent at most.
        longest_retry_after: seconds; a server that wants more is taken to be away.
        seed: of the jitter.
    Raises:
        EvaluationError: no try, or no wait.
    """

    base: float = 1.0
    ceiling: float = 60.0
    tries: int = 8
    longest_retry_after: float = 600.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.tries < 1 or self.base <= 0:
            raise EvaluationError(
                f"{self.tries} tries with a first wait of {self.base:g} s; at least 1, above 0"
            )

    def delay(self, attempt: int, key: str, retry_after: float | None = None) -> float | None:
        """Seconds until the next try; None where there is none.

        Args:
            attempt: tries made so far, at least 1.
            key: of the request.
            retry_after: seconds the server asked for.
        """
        if attempt >= self.tries:
            return None
        if retry_after is not None and retry_after > self.longest_retry_after:
            return None
        # 2**1000 is still a float; more attempts than that would overflow
        wait = min(self.ceiling, self.base * 2.0 ** min(attempt - 1, 1000))
        jittered = wait * (0.5 + 0.5 * self._draw(attempt, key))
        return max(jittered, retry_after or 0.0)

    def _draw(self, attempt: int, key: str) -> float:
        digest = hashlib.sha256(f"{self.seed}\0{key}\0{attempt}".encode()).digest()
        return int.from_bytes(digest[:7], "big") / 2**56


def retry_after_seconds(value: str | None, *, now: datetime | None = None) -> float | None:
    """Seconds a Retry-After header asks for (RFC 9110, section 10.2.3): a number or a date.

    None where the header is missing or unreadable; a date in the past is 0.
    """
    if value is None:
        return None
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        return _until(text, now or datetime.now(UTC))
    return seconds if 0 <= seconds < float("inf") else None


def _until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
