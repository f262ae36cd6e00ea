"""What one process does: shard after shard, many requests at a time.

The next shard begins when the last row of the one before was begun, so that slow servers at the end
of a shard keep nobody waiting. Small JPEGs are decoded and encoded in the loop itself, which takes
less than to hand them over; everything else in one thread beside it, where files are read and
written too.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from data_pipelines.errors import BadSampleError
from data_pipelines.ingest import failures
from data_pipelines.ingest.failures import FetchError
from data_pipelines.ingest.fetch import Fetched, Fetcher, HeldBytes
from data_pipelines.ingest.places import Places
from data_pipelines.ingest.resizing import Opener, stored_picture
from data_pipelines.ingest.rows_table import OK, ListedRow, Outcome
from data_pipelines.ingest.settings import FetchSettings, ListSettings, PictureSettings
from data_pipelines.ingest.shard_job import ShardJob, ShardResult

_WAITING = 8  # rows of a connection that may wait for a turn of their host
_HELD_BYTES = 256 << 20
_SMALL = 512 << 10  # bytes of a JPEG that holds the loop up for some milliseconds only
_TELL_EVERY = 0.5  # seconds
_JPEG = b"\xff\xd8"

#: Is told how many rows have a fate and how many of them have a picture, since it was told last.
Tell = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What every process is told; may be pickled.

    Args:
        open_picture: reads the header of encoded bytes (``resizing.Opener``).
        min_success: share of a shard's rows that must give a picture.
        retried: see ``ShardJob``.
        share: number of processes, among which the limits of hosts are divided.
    """

    places: Places
    lists: ListSettings
    pictures: PictureSettings
    fetch: FetchSettings
    open_picture: Opener
    min_success: float
    retried: Collection[str] | None
    share: int = 1

    def job(self, shard: int) -> ShardJob:
        """A shard to fill."""
        return ShardJob(
            self.places,
            shard,
            additional=self.lists.save_additional_columns,
            min_success=self.min_success,
            retried=self.retried,
        )


def fill_shards(
    work: Work,
    next_shard: Callable[[], int | None],
    *,
    tell: Tell = lambda rows, pictures: None,
    done: Callable[[ShardResult], None] = lambda result: None,
) -> None:
    """Fill the shards that ``next_shard`` names, until it names none.

    Args:
        next_shard: may block; asked from one thread.
        tell: see ``Tell``.
        done: is given each shard when its files are there.
    Raises:
        DataError: the disk refuses, or a list cannot be read.
    """
    asyncio.run(_Filling(work, tell, done).run(next_shard))


class _Filling:
    def __init__(self, work: Work, tell: Tell, done: Callable[[ShardResult], None]) -> None:
        self._work, self._tell, self._done = work, tell, done
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._told = time.monotonic()
        self._rows, self._pictures = 0, 0

    async def run(self, next_shard: Callable[[], int | None]) -> None:
        """See ``fill_shards``."""
        loop = asyncio.get_running_loop()
        held = HeldBytes(_HELD_BYTES)
        window = asyncio.Semaphore(_WAITING * self._work.fetch.connections)
        lists = ThreadPoolExecutor(1, thread_name_prefix="lists")
        fetching = Fetcher(self._work.fetch, share=self._work.share, held=held)
        try:
            async with fetching as fetcher, asyncio.TaskGroup() as tasks:
                while (shard := await loop.run_in_executor(lists, next_shard)) is not None:
                    await self._begin(shard, fetcher, held, window, tasks)
        except BaseExceptionGroup as group:
            raise first_of(group) from group
        finally:
            lists.shutdown(wait=False, cancel_futures=True)  # it may wait for a list for ever
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._tell(self._rows, self._pictures)

    async def _begin(
        self,
        shard: int,
        fetcher: Fetcher,
        held: HeldBytes,
        window: asyncio.Semaphore,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Begin all rows of a shard; it is closed when the last of them has its fate."""
        loop = asyncio.get_running_loop()
        job = await loop.run_in_executor(self._thread, self._work.job, shard)
        pending = job.pending
        open_rows = len(pending)
        if not pending:
            await self._close(job)

        async def one(place: int, row: ListedRow) -> None:
            nonlocal open_rows
            try:
                await self._row(job, place, row, fetcher, held)
            finally:
                window.release()
            open_rows -= 1
            if not open_rows:
                await self._close(job)

        for place, row in pending:
            await window.acquire()
            tasks.create_task(one(place, row))

    async def _row(
        self, job: ShardJob, place: int, row: ListedRow, fetcher: Fetcher, held: HeldBytes
    ) -> None:
        try:
            fetched = await fetcher.fetch(row.url)
        except FetchError as failure:
            job.fail(place, Outcome(failure.status, failure.error, failure.http_status))
            self._count(is_stored=False)
            return
        data = fetched.data
        try:
            if len(data) <= _SMALL and data.startswith(_JPEG):
                is_stored = store(job, place, row, fetched, self._work)
            else:
                loop = asyncio.get_running_loop()
                is_stored = await loop.run_in_executor(
                    self._thread, store, job, place, row, fetched, self._work
                )
        finally:
            held.add(-len(data))
        self._count(is_stored=is_stored)

    async def _close(self, job: ShardJob) -> None:
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._thread, job.close)
        self._done(result)

    def _count(self, *, is_stored: bool) -> None:
        self._rows += 1
        self._pictures += is_stored
        now = time.monotonic()
        if now - self._told > _TELL_EVERY:
            self._tell(self._rows, self._pictures)
            self._told, self._rows, self._pictures = now, 0, 0


def store(job: ShardJob, place: int, row: ListedRow, fetched: Fetched, work: Work) -> bool:
    """Give what was fetched to its shard as the picture it is, or as a failure; whether it is one.

    Raises:
        DataError: the disk refuses.
    """
    data = fetched.data
    came = Outcome(
        OK,
        http_status=fetched.http_status,
        final_url=fetched.final_url,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    if row.expected:
        kind = work.lists.verify_hash[1]
        found = came.sha256 if kind == "sha256" else hashlib.new(kind, data).hexdigest()
        if found != row.expected:
            job.fail(place, came._replace(status=failures.HASH, error=f"{kind} {found}"))
            return False
    try:
        picture = stored_picture(data, work.pictures, work.open_picture)
    except BadSampleError as error:
        told = str(error).removeprefix(error.kind).removeprefix(": ")
        job.fail(place, came._replace(status=error.kind, error=told))
        return False
    outcome = came._replace(
        format=picture.format,
        original_width=picture.original_width,
        original_height=picture.original_height,
        width=picture.width,
        height=picture.height,
        mended="; ".join(picture.mended) or None,
    )
    job.store(place, outcome, picture.suffix, picture.data)
    return True


def first_of(group: BaseExceptionGroup) -> BaseException:
    """The first error of a group that is none itself."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
