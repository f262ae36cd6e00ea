"""Samples that stand twice in one data set, found when it is opened, without reading a sample.

Two samples of one uid are one to all that remembers samples (memories of noise-robust training,
lists of what was seen). Found are shards that are there twice (equal name and content, whatever
the folder) and, in sets of at most two million samples, keys that are permanent ids and repeat;
``vlsuite data validate`` reads every sample and finds the rest.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt64

from data_pipelines.shards.hex_ids import NUM_DIGITS, hex_of, ids_of_letters
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.shard_set import Shard, name_of
from data_pipelines.shards.sidecar import Summary

#: Samples of a set whose keys are compared one by one; 16 bytes each.
MAX_COMPARED = 2_000_000


#: Rows of a shard, by its number, that count as there; None: all.
RowsOf = Callable[[int], "Int64[np.ndarray, ' rows'] | None"]


def repeated_samples(
    shards: Sequence[Shard], summaries: Sequence[Summary], rows_of: RowsOf = lambda _: None
) -> Iterator[str]:
    """A line for each kind of repetition, with the first case; nothing where there is none.

    Args:
        shards: of all sources.
        summaries: of each.
        rows_of: samples that count, where not all do; shards without any are passed over.
    """
    first: dict[tuple[str, str], int] = {}
    twice: list[tuple[int, int]] = []
    for number, (shard, summary) in enumerate(zip(shards, summaries, strict=True)):
        if summary.num_samples and summary.mark:
            mark = name_of(shard), summary.mark
            before = first.setdefault(mark, number)
            if before != number and not _is_empty(rows_of(number)):
                if _is_empty(rows_of(before)):
                    first[mark] = number
                else:
                    twice.append((before, number))
    if twice:
        a, b = (_place(shards[number]) for number in twice[0])
        count = sum(summaries[number].num_samples for _, number in twice)
        yield (
            f"{count:,} samples in {len(twice)} shards are there twice ({b} holds what {a} "
            "holds): equal uids are one sample to whatever remembers samples; name each shard once"
        )
    known = [number for number in range(len(shards)) if number not in {b for _, b in twice}]
    if sum(summaries[number].num_samples for number in known) <= MAX_COMPARED:
        yield from _repeated_ids(shards, known, rows_of)


def _is_empty(rows: "Int64[np.ndarray, ' rows'] | None") -> bool:
    return rows is not None and not len(rows)


def _repeated_ids(
    shards: Sequence[Shard], numbers: Sequence[int], rows_of: RowsOf
) -> Iterator[str]:
    parts = [_ids_of(ShardIndex.open(shards[number]), rows_of(number)) for number in numbers]
    ids = np.concatenate(parts) if parts else np.empty((0, 2), dtype=np.uint64)
    owners = np.repeat(numbers, [len(part) for part in parts])
    order = np.lexsort((ids[:, 1], ids[:, 0]))
    again = np.flatnonzero((ids[order[1:]] == ids[order[:-1]]).all(axis=1)) + 1
    if len(again):
        before, row = order[again[0] - 1], order[again[0]]
        a, b = (_place(shards[int(owners[i])]) for i in (before, row))
        yield (
            f"{len(again):,} uids are there twice ({hex_of(*ids[row].tolist())} in {a} and in "
            f"{b}): they are one sample to whatever remembers samples; leave one of the two out"
        )


def _ids_of(
    index: ShardIndex, rows: "Int64[np.ndarray, ' rows'] | None"
) -> UInt64[np.ndarray, "ids 2"]:
    """Keys whose last part is a permanent id, as two numbers each."""
    blob = np.frombuffer(index.layout.key_blob, dtype=np.uint8)
    ends = index.layout.key_ends
    lengths = np.diff(ends, prepend=0)
    if rows is not None:
        ends, lengths = ends[rows], lengths[rows]
    ends, lengths = ends[lengths >= NUM_DIGITS], lengths[lengths >= NUM_DIGITS]
    ids, is_id = ids_of_letters(blob[ends[:, None] - NUM_DIGITS + np.arange(NUM_DIGITS)])
    # Of a key of just that length this is the end of another key, which does not matter.
    is_part = (lengths == NUM_DIGITS) | (blob[ends - NUM_DIGITS - 1] == ord("/"))
    return ids[is_part & is_id]


def _place(shard: Shard) -> str:
    """Folder and name: the name alone does not tell two shards of one name apart."""
    return str(shard) if isinstance(shard, Path) else name_of(shard)
