"""What the HTTP client and headers say, in our words."""

import email.utils
import os
import time

import aiohttp

from data_pipelines.ingest import failures
from data_pipelines.ingest.failures import FetchError


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
