"""How many shards are done, on standard error, with the time that is left."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

_REPORT_EVERY = 5.0  # seconds


def shard_progress(work: Iterable[Any]) -> Iterator[Any]:
    """The same, counted; what takes less than five seconds says nothing."""
    total = len(work) if isinstance(work, list) else 0
    started = last = time.monotonic()
    for done, one in enumerate(work, start=1):
        yield one
        now = time.monotonic()
        if now - last > _REPORT_EVERY:
            last = now
            seconds = (now - started) / done * (total - done)
            told = f" of {total:,} shards, {seconds:,.0f} s left" if total else " shards"
            print(f"{done:,}{told}", file=sys.stderr, flush=True)
