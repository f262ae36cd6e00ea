"""The samples of a subset written anew, for storage that is read shard by shard.

A process reads one shard and writes one at a time, so memory does not grow with the data. Which
sample goes where follows from the subset alone: shards are of equal size (by one sample, at most),
in the order of the pool, and every call writes the same bytes, by any number of processes. What an
interrupted call finished stays and is not written again.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue, is_uid
from data_pipelines.shards.atomic import write_file
from data_pipelines.shards.folder import building
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import FileEntry, Manifest, ShardEntry
from data_pipelines.shards.shard_set import anywhere
from data_pipelines.shards.write import DEFAULT_MAX_BYTES, DEFAULT_MAX_SAMPLES
from data_pipelines.subsets.matching import parts_for
from data_pipelines.subsets.origins import files_beside, origin_of
from data_pipelines.subsets.pool import Pool
from data_pipelines.subsets.raw_shard import RawSample, write_raw
from data_pipelines.subsets.subset import Subset, SubsetShard
from data_pipelines.subsets.uid_column import uid_column
from data_pipelines.subsets.uid_counts import Survey, survey
from data_pipelines.workers.shared_storage import await_file
from data_pipelines.workers.spread import Workers, spread

#: Shards that an interrupted call finished, one a line; it goes with the last one.
FINISHED_NAME = ".resharded.jsonl"

#: Raised when the same subset is written otherwise than before.
_FORM = 1

Progress = Callable[[Iterable[Any]], Iterable[Any]]


class Resharded(NamedTuple):
    """What was written.

    Attributes:
        manifest: of the new set.
        num_kept_shards: that an earlier call had finished.
        num_repeated: uids that more than one sample of the pool has; all are there.
    """

    manifest: Manifest
    num_kept_shards: int
    num_repeated: int


def reshard(
    pool: Pool,
    subset: Subset,
    out: Path,
    *,
    name: str,
    prefix: str = "shard",
    max_samples: int = DEFAULT_MAX_SAMPLES,
    max_bytes: int = DEFAULT_MAX_BYTES,
    overwrite: bool = False,
    created_by: str = "",
    workers: Workers = Workers(),  # noqa: B008
    progress: Progress = iter,
) -> Resharded:
    """Write the samples of a subset to ``out``; members are copied as they are.

    Keys become permanent ids where samples have some, and the json says the uid of each sample, so
    that it keeps its identity. A sample that is taken several times is written as often, under its
    key with -1, -2 and so on behind it.

    Args:
        name: of the subset's file, for messages.
        max_samples: of one shard.
        max_bytes: of one shard, about: on average over all.
        overwrite: whether a set of ours in ``out`` is replaced.
        created_by: the command, for the manifest.
        workers: processes that share the new shards, or a cluster whose nodes see all of them.
        progress: is given the new shards as they are written.
    Raises:
        DataError: the subset was made for other shards, or keeps none; a shard cannot be read;
            ``out`` cannot be used, or the disk refuses.
    """
    parts = parts_for(subset, pool.identities, name=name)
    if not subset.num_taken:
        raise DataError(f"subset {name} keeps no sample, so there is nothing to write")
    found = survey(pool, parts)
    bounds = _bounds(subset.num_taken, found, max_samples=max_samples, max_bytes=max_bytes)
    plan = f"{_FORM}-{subset.digest}-{len(bounds) - 1}-{prefix}"
    with building(out, overwrite=overwrite, plan=plan) as place:
        done = _finished(place)
        num_kept = len(done)
        left = [shard for shard in _new_shards(bounds, prefix) if shard.name not in done]
        write = partial(_write, rows=_Rows(_anywhere(pool), parts), place=place)
        for one in progress(spread(write, left, workers=workers)):
            entry: ShardEntry = one.result
            if workers.ray:
                await_file(place / entry.name, entry.bytes)
            done[entry.name] = entry
            _note(place, entry)
        files = _copied(pool, place)
        manifest = Manifest(
            origin=origin_of(pool, created_by=created_by),
            layout="pairs",
            shards=tuple(done[name] for name in sorted(done)),
            files=files,
            details=_details(subset, found),
        )
        manifest.save(place)
        (place / FINISHED_NAME).unlink(missing_ok=True)
    return Resharded(manifest, num_kept, found.num_repeated)


class _NewShard(NamedTuple):
    """A shard to write, of samples ``first`` to ``last`` (exclusive) of the subset."""

    name: str
    first: int
    last: int


def _new_shards(bounds: list[int], prefix: str) -> list[_NewShard]:
    return [
        _NewShard(f"{prefix}-{number:06d}.tar", first, last)
        for number, (first, last) in enumerate(pairwise(bounds))
    ]


def _anywhere(pool: Pool) -> Pool:
    """By paths that hold in processes of another folder."""
    return pool._replace(shards=list(map(anywhere, pool.shards)))


def _write(shard: _NewShard, *, rows: "_Rows", place: Path) -> ShardEntry:
    return write_raw(rows.between(shard.first, shard.last), place / shard.name)


class _Rows:
    """Samples of the subset by their number in it; the shard that was read last stays open."""

    def __init__(self, pool: Pool, parts: list[SubsetShard]) -> None:
        self._pool, self._parts = pool, parts
        self._ends = np.cumsum([part.num_taken for part in parts])

    def between(self, first: int, last: int) -> Iterator[RawSample]:
        """Samples ``first`` to ``last`` (exclusive)."""
        shard = int(np.searchsorted(self._ends, first, side="right"))
        while first < last:
            begin = int(self._ends[shard - 1]) if shard else 0
            end = min(last, int(self._ends[shard]))
            if first < end:
                yield from self._of(shard, first - begin, end - begin)
            first, shard = max(first, end), shard + 1

    def _of(self, shard: int, first: int, last: int) -> Iterator[RawSample]:
        index = ShardIndex.open(self._pool.shards[shard])
        column = uid_column(index)
        counts = self._parts[shard].counts
        rows = np.repeat(np.arange(len(counts)), counts)
        starts = np.cumsum(counts) - counts
        for place in range(first, last):
            row = int(rows[place])
            uid, again = column.uid(row), place - int(starts[row])
            key = uid if is_uid(uid) else f"{shard:06d}-{row:08d}"
            yield RawSample(f"{key}-{again}" if again else key, uid, index.read(row))


def _bounds(total: int, found: Survey, *, max_samples: int, max_bytes: int) -> list[int]:
    """Numbers of the first samples of all shards, and of the end."""
    if max_samples < 1 or max_bytes < 1:
        raise DataError(f"a shard needs room: {max_samples} samples, {max_bytes} bytes asked for")
    count = max(-(-total // max_samples), min(total, -(-found.num_bytes // max_bytes)))
    return [total * number // count for number in range(count + 1)]


def _finished(place: Path) -> dict[str, ShardEntry]:
    """Shards of an interrupted call that are whole: their line came after them."""
    found: dict[str, ShardEntry] = {}
    with suppress(OSError, UnicodeDecodeError):
        for line in (place / FINISHED_NAME).read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, TypeError):
                entry = ShardEntry(**json.loads(line))
                path = place / entry.name
                if path.is_file() and path.stat().st_size == entry.bytes:
                    found[entry.name] = entry
    return found


def _note(place: Path, entry: ShardEntry) -> None:
    try:
        with (place / FINISHED_NAME).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(entry)) + "\n")
    except OSError as error:
        raise DataError(f"cannot write to {place}: {error.strerror or error}") from error


def _copied(pool: Pool, place: Path) -> tuple[FileEntry, ...]:
    """Files beside the shards, such as a vocabulary, in the new set."""
    entries = []
    for name, content in files_beside(pool).items():
        file = write_file(place / name, content)
        entries.append(FileEntry(name=name, bytes=file.size, sha256=file.sha256))
    return tuple(entries)


def _details(subset: Subset, found: Survey) -> dict[str, JsonValue]:
    return {
        "subset": subset.digest,
        "provenance": dict(subset.provenance),
        "kept": subset.num_kept,
        "dropped": subset.num_samples - subset.num_kept,
        "taken": subset.num_taken,
        "uids_of_several_samples": found.num_repeated,
    }
