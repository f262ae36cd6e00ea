"""The uids of all samples of a shard, by row, without reading more than names and json.

Where keys are permanent ids, as in shards of ours, they are the uids; elsewhere the json of each
sample says it (``StoredSample.uid``). What had to be read is kept in the user's cache folder, under
the content of the shard, so that it is read once.
"""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt64

from data_pipelines.arrays import DamagedArraysError, read_arrays
from data_pipelines.errors import BadSampleError
from data_pipelines.schema import is_uid
from data_pipelines.shards.hex_ids import NUM_DIGITS, hex_of, ids_of_letters
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.sidecar import cache_folder, cache_name, pack, save_arrays, unpack
from data_pipelines.shards.stored_sample import StoredSample

_KINDS: dict[str, type | str] = {
    "ids": np.uint64,
    "is_id": np.bool_,
    "others": np.uint8,
}
_MOST_BYTES = 1 << 32


class UidColumn(NamedTuple):
    """Uids of the samples of a shard by row.

    Attributes:
        ids: of those that are permanent ids of 128 bits, as two numbers; 0 for the others.
        is_id: which are.
        others: those that are none, in the order of their rows.
    """

    ids: UInt64[np.ndarray, "samples 2"]
    is_id: Bool[np.ndarray, " samples"]
    others: tuple[str, ...] = ()

    def uid(self, row: int) -> str:
        """As text."""
        if self.is_id[row]:
            return hex_of(*self.ids[row].tolist())
        return self.others[int(np.count_nonzero(~self.is_id[:row]))]


def uid_column(index: ShardIndex) -> UidColumn:
    """The uids of a shard.

    Raises:
        ShardError: it cannot be read.
    """
    column = _of_keys(index)
    if column is not None:
        return column
    # the name of the file is part of what samples without an id are called
    store = cache_folder() / "uids" / f"{cache_name(index.layout.content, index.mark)}.npz"
    return _load(store, len(index)) or _read(index, store)


def _of_keys(index: ShardIndex) -> UidColumn | None:
    """From the keys; None where they are other than the uids."""
    ends = index.layout.key_ends
    if not len(ends):
        return UidColumn(np.empty((0, 2), dtype=np.uint64), np.empty(0, dtype=np.bool_))
    if not (np.diff(ends, prepend=0) == NUM_DIGITS).all():
        return None
    letters = np.frombuffer(index.layout.key_blob, dtype=np.uint8).reshape(-1, NUM_DIGITS)
    ids, is_id = ids_of_letters(letters)
    looked_at = {0, len(ends) // 2, len(ends) - 1}
    if not is_id.all() or any(_uid(index, row) != index.key(row) for row in looked_at):
        return None
    return UidColumn(ids, is_id)


def _read(index: ShardIndex, store: Path) -> UidColumn:
    uids = [_uid(index, row) for row in range(len(index))]
    is_id = np.array([is_uid(uid) for uid in uids], dtype=np.bool_)
    ids = np.zeros((len(uids), 2), dtype=np.uint64)
    known = "".join(uid for uid, is_one in zip(uids, is_id, strict=True) if is_one).encode()
    ids[is_id] = ids_of_letters(np.frombuffer(known, dtype=np.uint8).reshape(-1, NUM_DIGITS))[0]
    others = tuple(uid for uid, is_one in zip(uids, is_id, strict=True) if not is_one)
    with suppress(OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(store, {"ids": ids, "is_id": is_id, "others": pack(others)})
    return UidColumn(ids, is_id, others)


def _uid(index: ShardIndex, row: int) -> str:
    data = index.read_member(row, "json")
    name = index.name(row)
    members = {} if data is None else {"json": data}
    try:
        return StoredSample(index.key(row), members, name=name).uid
    except BadSampleError:
        return StoredSample(index.key(row), {}, name=name).uid


def _load(store: Path, num_samples: int) -> UidColumn | None:
    try:
        stored = read_arrays(store, _KINDS, most_bytes=_MOST_BYTES)
    except (OSError, DamagedArraysError):
        return None
    ids, is_id, others = stored["ids"], stored["is_id"], unpack(stored["others"])
    if ids.shape != (num_samples, 2) or is_id.shape != (num_samples,):
        return None
    if np.count_nonzero(~is_id) != len(others):
        return None
    return UidColumn(ids, is_id, others)
