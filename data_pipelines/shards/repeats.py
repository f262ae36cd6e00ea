"""Samples that stand twice in one data set, found when it is opened, without reading a sample.

Two samples of one uid are one to all that remembers samples (memories of noise-robust training,
lists of what was seen). Found are shards that are there twice (equal name and content, whatever
the folder) and, in sets of at most two million samples, keys that are permanent ids and repeat;
``vlsuite data validate`` reads every sample and finds the rest.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt64

from data_pipelines.schema import is_uid
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.shard_set import Shard, name_of
from data_pipelines.shards.sidecar import Summary

#: Samples of a set whose keys are compared one by one; 16 bytes each.
MAX_COMPARED = 2_000_000


class _Ids(NamedTuple):
    """Permanent ids as two numbers each, with the number of their shard."""

    values: UInt64[np.ndarray, "ids 2"]
    shards: np.ndarray


def repeated_samples(shards: Sequence[Shard], summaries: Sequence[Summary]) -> Iterator[str]:
    """A line for each kind of repetition, with the first case; nothing where there is none.

    Args:
        shards: of all sources.
        summaries: of each.
    """
    first: dict[tuple[str, str], int] = {}
    twice: list[tuple[int, int]] = []
    for number, (shard, summary) in enumerate(zip(shards, summaries, strict=True)):
        if summary.num_samples and summary.mark:
            before = first.setdefault((name_of(shard), summary.mark), number)
            if before != number:
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
        yield from _repeated_ids(shards, known)


def _repeated_ids(shards: Sequence[Shard], numbers: Sequence[int]) -> Iterator[str]:
    parts = []
    for number in numbers:
        index = ShardIndex.open(shards[number])
        if len(index) and is_uid(index.key(0).rpartition("/")[2]):
            parts.append(_ids_of(index, number))
    if not parts:
        return
    values = np.concatenate([part.values for part in parts])
    owners = np.concatenate([part.shards for part in parts])
    _, firsts, inverse = np.unique(values, axis=0, return_index=True, return_inverse=True)
    again = np.flatnonzero(firsts[inverse.reshape(-1)] != np.arange(len(values)))
    if len(again):
        row = int(again[0])
        before = int(firsts[inverse.reshape(-1)[row]])
        high, low = values[row].tolist()
        a, b = (_place(shards[int(owners[i])]) for i in (before, row))
        yield (
            f"{len(again):,} uids are there twice ({high:016x}{low:016x} in {a} and in {b}): they "
            "are one sample to whatever remembers samples; leave one of the two out"
        )


def _ids_of(index: ShardIndex, number: int) -> _Ids:
    names = (index.key(i).rpartition("/")[2] for i in range(len(index)))
    found = [(int(name[:16], 16), int(name[16:], 16)) for name in names if is_uid(name)]
    values = np.array(found, dtype=np.uint64).reshape(-1, 2)
    return _Ids(values, np.full(len(values), number))


def _place(shard: Shard) -> str:
    """Folder and name: the name alone does not tell two shards of one name apart."""
    return str(shard) if isinstance(shard, Path) else name_of(shard)
