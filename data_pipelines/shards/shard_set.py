"""Many shards opened as one: their sizes are known at once, their layouts when they are read.

What opening has to know of each shard is kept in one file in the user's cache folder, so that
ten thousand shards open in the time it takes to ask for their modification times.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np

from data_pipelines.arrays import read_arrays
from data_pipelines.end_with_parent import end_with_parent
from data_pipelines.errors import ShardError
from data_pipelines.shards.file_lock import locked
from data_pipelines.shards.find import find_shards, refuse_program
from data_pipelines.shards.index import ShardIndex, summarise
from data_pipelines.shards.remote import CachedShard, find_remote, is_remote
from data_pipelines.shards.shard_cache import ShardCache
from data_pipelines.shards.sidecar import (
    Stamp,
    Summary,
    cache_folder,
    cache_name,
    pack,
    save_arrays,
    stamp_of,
    unpack,
)

#: Raised when the meaning of the stored file changes; older ones are then rebuilt.
SET_VERSION = 3

_KINDS = {
    "version": np.int64,
    "rows": np.int64,
    "problems": np.uint8,
    "marks": np.uint8,
    "contents": np.uint8,
}
_MOST_BYTES = 1 << 30

_FEW = 32  # shards that open quickly one by one
_REPORT_EVERY = 5.0  # seconds

Shard = Path | CachedShard


class ShardSet:
    """Shards in a fixed order, numbered from 0. May be pickled.

    Args:
        shards: local files, or remote ones with their cache (see ``find``).
        summaries: of each (see ``summaries_of``).
        layout_samples: samples whose layouts stay in memory, about 110 bytes each.
    """

    def __init__(
        self, shards: Sequence[Shard], summaries: Sequence[Summary], *, layout_samples: int
    ) -> None:
        self.shards = list(shards)
        self.lengths = [summary.num_samples for summary in summaries]
        self.contents = [summary.content for summary in summaries]
        self._layout_samples = layout_samples
        self._open: dict[int, ShardIndex] = {}
        self._num_open_samples = 0

    def __len__(self) -> int:
        return len(self.shards)

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_open": {}, "_num_open_samples": 0}

    def __getitem__(self, shard: int) -> ShardIndex:
        """The index of a shard; those used last stay open.

        Raises:
            ShardError: it cannot be read, or is not what it was when the set was opened.
        """
        index = self._open.pop(shard, None)
        if index is None:
            index = self.opened(shard)
            self._num_open_samples += len(index)
            while self._num_open_samples > self._layout_samples and self._open:
                self._num_open_samples -= len(self._open.pop(next(iter(self._open))))
        self._open[shard] = index
        return index

    def name(self, shard: int) -> str:
        """File name of a shard."""
        return name_of(self.shards[shard])

    def opened(self, shard: int) -> ShardIndex:
        """The index of a shard, opened anew.

        Raises:
            ShardError: it cannot be read, or is not what it was when the set was opened.
        """
        index = ShardIndex.open(self.shards[shard])
        if len(index) != self.lengths[shard]:
            raise ShardError(
                f"{address_of(self.shards[shard])} holds {len(index)} samples, "
                f"{self.lengths[shard]} when the run began; it was replaced meanwhile: start again"
            )
        if index.layout.content != self.contents[shard]:
            raise ShardError(
                f"{address_of(self.shards[shard])} holds other content than when the run began; it "
                "was replaced meanwhile: start again"
            )
        return index


def find(pattern: str, cache: ShardCache) -> list[Shard]:
    """The shards that a path, pattern or URL names (see ``find_shards`` and ``find_remote``).

    Raises:
        ShardError: there are none, or they cannot be listed.
    """
    refuse_program(pattern)
    if is_remote(pattern):
        return [CachedShard(shard, cache) for shard in find_remote(pattern)]
    return [*find_shards([pattern])]


def name_of(shard: Shard) -> str:
    """File name of a shard, for messages."""
    return shard.name if isinstance(shard, Path) else shard.file_name


def anywhere(shard: Shard) -> Shard:
    """The shard by a path that holds in processes of another folder too."""
    return Path(os.path.abspath(shard)) if isinstance(shard, Path) else shard


def summaries_of(shards: Sequence[Shard]) -> list[Summary]:
    """Number of samples and problems of each shard.

    Taken from the stored file of this very set, for shards that did not change since; else from
    their sidecars; else by walking over them, which is reported on stderr. One process of a
    machine does so while others wait for its result.

    Raises:
        ShardError: a shard is missing, unreadable, or no uncompressed tar.
    """
    if len(shards) < _FEW:
        return [summarise(shard) for shard in shards]
    stamps = _stamps(shards)
    store = cache_folder() / "sets" / f"{cache_name(*(address_of(shard) for shard in shards))}.npz"
    known = _load(store, stamps) or {}
    if len(known) < len(shards):
        with _lock_of(store):
            stored = _load(store, stamps)  # another process may have been here first
            known = stored or {}
            missing = [number for number in range(len(shards)) if number not in known]
            # Of a stored set, what is missing is what changed since.
            found = _measure([shards[n] for n in missing], has_changed=stored is not None)
            known |= dict(zip(missing, found, strict=True))
            _save(store, stamps, known)
    return [known[number] for number in range(len(shards))]


def address_of(shard: Shard) -> str:
    """Full path or address of a shard, for messages."""
    return str(shard.absolute()) if isinstance(shard, Path) else shard.url


def _stamps(shards: Sequence[Shard]) -> list[Stamp]:
    """Of each shard as it is now, asked for in parallel: network file systems answer slowly."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(_stamp, shards, chunksize=64))


def _stamp(shard: Shard) -> Stamp:
    if isinstance(shard, CachedShard):
        return shard.stamp
    try:
        return stamp_of(shard)
    except OSError as error:
        raise ShardError(f"cannot read shard {shard}: {error.strerror}; check the path") from None


def _measure(shards: Sequence[Shard], *, has_changed: bool) -> list[Summary]:
    one = partial(summarise, is_new=not has_changed, has_changed=has_changed)
    with _pool_for(shards) as pool:
        chunk = 1 if len(shards) < 1000 else 16
        return list(_reported(pool.map(one, shards, chunksize=chunk), len(shards)))


def _pool_for(shards: Sequence[Shard]) -> Executor:
    """Processes where walking over tars is the work, threads where waiting is."""
    cores = len(os.sched_getaffinity(0))
    if len(shards) < _FEW or cores == 1 or isinstance(shards[0], CachedShard):
        return ThreadPoolExecutor(8)
    # Forked: a fresh interpreter would run the caller's main module again.
    return ProcessPoolExecutor(
        min(cores, 16),
        mp_context=multiprocessing.get_context("fork"),
        initializer=end_with_parent,
    )


def _reported(results: Iterable[Summary], total: int) -> Iterator[Summary]:
    last = time.monotonic()
    for done, result in enumerate(results, start=1):
        yield result
        if time.monotonic() - last > _REPORT_EVERY:
            last = time.monotonic()
            print(f"indexed {done:,} of {total:,} shards (once)", file=sys.stderr, flush=True)


def _lock_of(store: Path) -> AbstractContextManager[None]:
    """Of the stored file; none where the cache folder cannot be written."""
    try:
        store.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return nullcontext()
    writable = os.access(store.parent, os.W_OK)
    return locked(store.with_suffix(".lock")) if writable else nullcontext()


def _load(store: Path, stamps: Sequence[Stamp]) -> dict[int, Summary] | None:
    """Stored summaries by number, of the shards that still have the stamp stored with them; None
    where nothing is stored."""
    try:
        stored = read_arrays(store, _KINDS, most_bytes=_MOST_BYTES)
        version, rows = int(stored["version"]), stored["rows"]
        lines, marks = unpack(stored["problems"]), unpack(stored["marks"])
        contents = unpack(stored["contents"])
        if version != SET_VERSION or rows.shape != (len(stamps), 3):
            return None
        if not len(marks) == len(contents) == len(stamps):
            return None
        problems: dict[int, list[str]] = {}
        for line in lines:
            number, _, text = line.partition(":")
            problems.setdefault(int(number), []).append(text)
    except (OSError, ValueError, TypeError):
        return None
    return {
        number: Summary(count, tuple(problems.get(number, ())), marks[number], contents[number])
        for number, ((size, tag, count), stamp) in enumerate(
            zip(rows.tolist(), stamps, strict=True)
        )
        if stamp == (size, tag) and count >= 0
    }


def _save(store: Path, stamps: Sequence[Stamp], known: dict[int, Summary]) -> None:
    rows = [(*stamp, known[number].num_samples) for number, stamp in enumerate(stamps)]
    lines = [f"{number}:{line}" for number in range(len(stamps)) for line in known[number].problems]
    fields = {
        "version": np.array(SET_VERSION),
        "rows": np.array(rows, dtype=np.int64).reshape(-1, 3),
        "problems": pack(tuple(lines)),
        "marks": pack(tuple(known[number].mark for number in range(len(stamps)))),
        "contents": pack(tuple(known[number].content for number in range(len(stamps)))),
    }
    save_arrays(store, fields)
