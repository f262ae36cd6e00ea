"""Lists of uids: DataComp's subset files, and text with one uid a line.

DataComp writes uids of 128 bits as a NumPy array of dtype ``u8,u8`` (the first and the last 16
hexadecimal digits), sorted by the first, then by the second; as .npy, or as the bare bytes of such
an array (https://github.com/mlfoundations/datacomp, ``resharder.py`` and ``baselines``). A uid that
stands in it several times is taken as often. Its own resharder does not look whether a file is
sorted, and finds few uids of one that is not; here that is refused.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from data_pipelines.errors import DataError
from data_pipelines.printable import printable
from data_pipelines.schema import is_uid
from data_pipelines.shards.hex_ids import NUM_DIGITS, hex_of, ids_of_letters

#: Of an entry of DataComp's files.
DTYPE = np.dtype("u8,u8")

_NPY = b"\x93NUMPY"
_BLOCK = 1 << 20  # entries looked at together
_LINES = 1 << 16


class Found(NamedTuple):
    """Where uids stand in a list.

    Attributes:
        places: of the first entry that is equal, where there is one.
        counts: of equal entries.
    """

    places: Int64[np.ndarray, " uids"]
    counts: Int64[np.ndarray, " uids"]


class SortedIds:
    """Ids of 128 bits in rising order, in memory or in a file; remembers which were met.

    Args:
        entries: of dtype ``u8,u8``, sorted.
    """

    def __init__(self, entries: np.ndarray) -> None:
        self._entries = entries
        self._met = np.zeros(-(-len(entries) // 8), dtype=np.uint8)
        self.num_again = 0

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, ids: UInt64[np.ndarray, "uids 2"]) -> Found:
        """Look up ids; those that are found count as met."""
        lows = self._bound(ids, after_equal=False)
        counts = self._bound(ids, after_equal=True) - lows
        met = lows[counts > 0]
        held, bits = self._met[met >> 3], (1 << (met & 7)).astype(np.uint8)
        self.num_again += int(np.count_nonzero(held & bits)) + len(met) - len(np.unique(met))
        np.bitwise_or.at(self._met, met >> 3, bits)
        return Found(lows, counts)

    def num_missing(self) -> int:
        """Different ids that were not met."""
        return sum(len(block) for block in self._missing())

    def missing(self) -> Iterator[tuple[int, int]]:
        """Ids that were not met, each once."""
        for block in self._missing():
            yield from block.tolist()

    def _missing(self) -> Iterator[np.ndarray]:
        for first in range(0, len(self), _BLOCK):
            last = min(first + _BLOCK, len(self))
            bits = self._met[first // 8 : -(-last // 8)]
            is_met = np.unpackbits(bits, count=last - first, bitorder="little").astype(np.bool_)
            block = np.asarray(self._entries[max(0, first - 1) : last])
            is_new = (block["f0"][1:] != block["f0"][:-1]) | (block["f1"][1:] != block["f1"][:-1])
            if first == 0:
                is_new = np.concatenate([[True], is_new])
            # only the first of equal entries is ever met
            yield block[-len(is_new) :][is_new & ~is_met]

    def _bound(
        self, ids: UInt64[np.ndarray, "uids 2"], *, after_equal: bool
    ) -> Int64[np.ndarray, " uids"]:
        """How many entries lie before each id, or before or at it: a search of all ids at once."""
        low = np.zeros(len(ids), dtype=np.int64)
        high = np.full(len(ids), len(self._entries), dtype=np.int64)
        while (is_open := low < high).any():
            middle = (low + high) // 2
            entries = self._entries[np.minimum(middle, len(self._entries) - 1)]
            first, second = entries["f0"], entries["f1"]
            is_before = first < ids[:, 0]
            is_level = first == ids[:, 0]
            is_before |= is_level & (second <= ids[:, 1] if after_equal else second < ids[:, 1])
            low = np.where(is_open & is_before, middle + 1, low)
            high = np.where(is_open & ~is_before, middle, high)
        return low


class UidList:
    """Uids that are wanted, of either kind; asked one shard after another.

    Args:
        ids: those of 128 bits.
        others: digests of the others.
        source: of the texts of the others; None where there are none.
    """

    def __init__(self, ids: SortedIds, others: SortedIds, source: Path | None) -> None:
        self.ids = ids
        self.others = others
        self._source = source

    @classmethod
    def open(cls, path: Path) -> "UidList":
        """The list of a file: .npy, bare entries, or text.

        Raises:
            DataError: it is missing, no such list, or not sorted.
        """
        try:
            with path.open("rb") as stream:
                head = stream.read(1 << 12)
            size = path.stat().st_size
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}; check the path") from error
        if head.startswith(_NPY):
            return cls(SortedIds(_npy(path)), _none(), None)
        if _is_text(head):
            return cls(*_of_text(path), path)
        if size % DTYPE.itemsize:
            raise DataError(
                f"{path} is no list of uids: neither .npy, nor text, and {size:,} bytes are not "
                f"whole entries of {DTYPE.itemsize}"
            )
        entries = np.memmap(path, dtype=DTYPE, mode="r")
        return cls(SortedIds(_sorted(entries, path)), _none(), None)

    def __len__(self) -> int:
        return len(self.ids) + len(self.others)

    def num_missing(self) -> int:
        """Different uids that no shard had."""
        return self.ids.num_missing() + self.others.num_missing()

    def missing(self) -> Iterator[str]:
        """Uids that no shard had, each once."""
        for high, low in self.ids.missing():
            yield hex_of(high, low)
        if len(self.others):
            wanted = set(self.others.missing())
            for uid in self._texts():
                told = _digest(uid)
                if not is_uid(uid) and told in wanted:
                    wanted.discard(told)
                    yield uid

    def _texts(self) -> Iterator[str]:
        assert self._source is not None, "texts come from a file"
        with _opened(self._source) as stream:
            for lines in _in_blocks(stream):
                yield from lines


def _none() -> SortedIds:
    return SortedIds(np.empty(0, dtype=DTYPE))


def _npy(path: Path) -> np.ndarray:
    try:
        entries = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        told = " ".join(str(error).split())[:120]
        raise DataError(f"cannot read {path} as .npy: {told}; write it again") from error
    kinds = [entries.dtype[name] for name in entries.dtype.names or ()]
    if entries.ndim != 1 or len(kinds) != 2 or any(kind.str[1:] != "u8" for kind in kinds):
        raise DataError(
            f"{path} holds {printable(str(entries.dtype))[:80]} of shape {entries.shape}; "
            "DataComp's lists of uids are one row of dtype 'u8,u8'"
        )
    if entries.dtype != DTYPE:  # other field names, or another byte order
        entries = entries.astype(DTYPE)
    return _sorted(entries, path)


def _sorted(entries: np.ndarray, path: Path) -> np.ndarray:
    """The entries, if they rise."""
    for first in range(0, max(0, len(entries) - 1), _BLOCK):
        block = np.asarray(entries[first : first + _BLOCK + 1])
        high, low = block["f0"], block["f1"]
        falls = (high[1:] < high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] < low[:-1]))
        if falls.any():
            place = first + int(np.argmax(falls)) + 1
            raise DataError(
                f"{path} is not sorted (entry {place:,} is less than the one before it), and lists "
                "of DataComp are: sort it with np.save(NEW, np.sort(np.load(OLD)))"
            )
    return entries


def _is_text(head: bytes) -> bool:
    return not any(letter < 9 or 13 < letter < 32 for letter in head)


def _of_text(path: Path) -> tuple[SortedIds, SortedIds]:
    ids, others = [], []
    with _opened(path) as stream:
        for lines in _in_blocks(stream):
            known = "".join(line for line in lines if is_uid(line)).encode()
            letters = np.frombuffer(known, dtype=np.uint8).reshape(-1, NUM_DIGITS)
            ids.append(ids_of_letters(letters)[0])
            others.append(digests_of(line for line in lines if not is_uid(line)))
    return _joined(ids), _joined(others)


def _joined(blocks: list[np.ndarray]) -> SortedIds:
    return SortedIds(as_entries(np.concatenate([*blocks, np.empty((0, 2), dtype=np.uint64)])))


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline=None)


def _in_blocks(stream: TextIO) -> Iterator[list[str]]:
    """Lines that are not empty, some at a time."""
    while lines := list(islice(stream, _LINES)):
        yield [text for line in lines if (text := line.strip())]


def as_entries(ids: UInt64[np.ndarray, "ids 2"]) -> np.ndarray:
    """Ids as DataComp's files have them: sorted, of dtype ``u8,u8``."""
    order = np.lexsort((ids[:, 1], ids[:, 0]))
    return np.ascontiguousarray(ids[order]).view(DTYPE).reshape(-1)


def digests_of(uids: Iterable[str]) -> UInt64[np.ndarray, "uids 2"]:
    """Of uids that are no ids of 128 bits."""
    found = [_digest(uid) for uid in uids]
    return np.array(found, dtype=np.uint64).reshape(-1, 2)


def _digest(uid: str) -> tuple[int, int]:
    told = hashlib.blake2b(uid.encode("utf-8", "surrogateescape"), digest_size=16).digest()
    return int.from_bytes(told[:8], "big"), int.from_bytes(told[8:], "big")


def counts_in(
    wanted: UidList,
    ids: UInt64[np.ndarray, "samples 2"],
    is_id: Bool[np.ndarray, " samples"],
    others: Iterable[str],
) -> Int64[np.ndarray, " samples"]:
    """How often the list has the uid of each sample of a shard (see ``UidColumn``)."""
    counts = np.zeros(len(ids), dtype=np.int64)
    if len(wanted.ids):
        counts[is_id] = wanted.ids.find(ids[is_id]).counts
    if len(wanted.others):
        counts[~is_id] = wanted.others.find(digests_of(others)).counts
    return counts
