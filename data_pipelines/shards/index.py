"""Random access to the samples of a WebDataset shard, without reading it from the start."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np

from data_pipelines.errors import ShardError
from data_pipelines.shards.handles import FileHandles
from data_pipelines.shards.remote import CachedShard
from data_pipelines.shards.scan import ShardLayout, scan
from data_pipelines.shards.sidecar import (
    Stamp,
    Summary,
    beside,
    copied_stamp_of,
    load_layout,
    load_summary,
    save_layout,
    sidecar_paths,
    stamp_of,
)

#: Bytes that reading a shard from start to end asks for at once.
READ_SIZE = 4 << 20

_HANDLES = FileHandles()


class ShardIndex:
    """The samples of one shard in tar order, read by number.

    Safe to use after fork, in threads, and after pickling to another process.

    Args:
        path: the tar.
        layout: where its samples lie (see ``ShardIndex.open``).
        remote: where the tar comes from if ``path`` is a copy that may vanish.
        stored: file that holds the layout; None where there is none.
    """

    def __init__(
        self,
        path: Path,
        layout: ShardLayout,
        *,
        remote: CachedShard | None = None,
        stored: Path | None = None,
    ) -> None:
        self.path = path
        self.layout = layout
        self.stored = stored
        self._remote = remote

    @classmethod
    def open(cls, shard: "str | Path | CachedShard") -> "ShardIndex":
        """Index a shard, from its sidecar where that is still valid.

        Failure to write the sidecar is no error: the walk is then repeated next time.

        Raises:
            ShardError: the file is missing, unreadable, or no uncompressed tar.
        """
        if isinstance(shard, CachedShard):
            _HANDLES.close_deleted()
            return cls(shard.path, shard.layout(), remote=shard, stored=shard.index_path)
        layout, stored = _layout_of(Path(shard))
        return cls(Path(shard), layout, stored=stored)

    @classmethod
    def over(cls, shard: Path | CachedShard, layout: ShardLayout) -> "ShardIndex":
        """The samples of a layout that is known, of a whole shard or of a part of one."""
        if isinstance(shard, CachedShard):
            _HANDLES.close_deleted()
            return cls(shard.path, layout, remote=shard)
        return cls(shard, layout)

    def __len__(self) -> int:
        return len(self.layout.key_ends)

    def __repr__(self) -> str:
        return f"ShardIndex({str(self.path)!r}, {len(self)} samples)"

    def __iter__(self) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Key and members of every sample in tar order, read in pieces of ``READ_SIZE``.

        Raises:
            ShardError: the shard changed since it was indexed, or cannot be read.
        """
        starts = self.layout.starts
        firsts = self.layout.offsets[starts[:-1]]
        ends = self.layout.offsets[starts[1:] - 1] + self.layout.sizes[starts[1:] - 1]
        first = 0
        while first < len(self):
            within = int(np.searchsorted(ends, firsts[first] + READ_SIZE, side="right"))
            last = max(first + 1, within)
            yield from self._read_together(first, last)
            first = last

    @property
    def problems(self) -> tuple[str, ...]:
        """What the walk had to leave out or found damaged, one line each; empty for a good tar."""
        return self.layout.problems

    @property
    def keys(self) -> list[str]:
        """All keys in tar order."""
        return [self.key(i) for i in range(len(self))]

    def key(self, i: int) -> str:
        """Key of sample ``i``: its member names up to the first dot of the file name."""
        start = int(self.layout.key_ends[i - 1]) if i else 0
        blob = self.layout.key_blob[start : int(self.layout.key_ends[i])]
        return blob.decode("utf-8", "surrogateescape")

    @property
    def mark(self) -> str:
        """Name and content of the shard in one word: "00007-5f1c09aa31be" for 00007.tar.

        The same wherever the shard lies and whatever lies beside it; another for a shard of the
        same name with other samples.
        """
        name = self.path.name if self._remote is None else self._remote.file_name
        return f"{name.removesuffix('.tar')}-{self.layout.mark}"

    def name(self, i: int) -> str:
        """What sample ``i`` is called where nothing else names it: its shard and its key.

        Of samples of one key (WebDataset would take them for one), all but the first get their
        number behind it: "00007-5f1c09aa31be/000123#2".
        """
        number = self.repeats.get(i)
        return f"{self.mark}/{self.key(i)}" + (f"#{number}" if number else "")

    @cached_property
    def repeats(self) -> dict[int, int]:
        """Which one of equal keys each sample has that is not the first of them."""
        ends = self.layout.key_ends.tolist()
        if len({self.layout.key_blob[a:b] for a, b in pairwise([0, *ends])}) == len(ends):
            return {}
        counts: Counter[str] = Counter()
        found = {}
        for i, key in enumerate(self.keys):
            counts[key] += 1
            if counts[key] > 1:
                found[i] = counts[key]
        return found

    def suffixes(self, i: int) -> list[str]:
        """Suffixes of the members of sample ``i``, in tar order."""
        rows = slice(int(self.layout.starts[i]), int(self.layout.starts[i + 1]))
        return [self.layout.suffixes[j] for j in self.layout.suffix_ids[rows]]

    def read(self, i: int) -> dict[str, bytes]:
        """Bytes of each member of sample ``i`` by its suffix ("png", "txt", "speech.ogg").

        Raises:
            IndexError: no sample ``i``.
            ShardError: the shard changed since it was indexed, or cannot be read.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)} in {self.path}")
        first, last = int(self.layout.starts[i]), int(self.layout.starts[i + 1])
        offsets = self.layout.offsets[first:last].tolist()
        sizes = self.layout.sizes[first:last].tolist()
        # Members of a sample are neighbours: one read serves them all.
        span = self._bytes(offset=offsets[0], size=offsets[-1] + sizes[-1] - offsets[0])
        return {
            suffix: span[offset - offsets[0] : offset - offsets[0] + size]
            for suffix, offset, size in zip(self.suffixes(i), offsets, sizes, strict=True)
        }

    def read_member(self, i: int, suffix: str) -> bytes | None:
        """Bytes of one member of sample ``i``; None where it has none of this suffix.

        Raises:
            IndexError: no sample ``i``.
            ShardError: as ``read``.
        """
        if not 0 <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)} in {self.path}")
        layout = self.layout
        for row in range(int(layout.starts[i]), int(layout.starts[i + 1])):
            if layout.suffixes[layout.suffix_ids[row]] == suffix:
                return self._bytes(offset=int(layout.offsets[row]), size=int(layout.sizes[row]))
        return None

    def _read_together(self, first: int, last: int) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Samples ``first`` to ``last`` (exclusive) from one read."""
        layout = self.layout
        rows = slice(int(layout.starts[first]), int(layout.starts[last]))
        begin = int(layout.offsets[rows.start])
        offsets = layout.offsets[rows] - begin
        lows, highs = offsets.tolist(), (offsets + layout.sizes[rows]).tolist()
        piece = self._bytes(offset=begin, size=highs[-1])
        names = [layout.suffixes[j] for j in layout.suffix_ids[rows].tolist()]
        bounds = (layout.starts[first : last + 1] - rows.start).tolist()
        key_ends = layout.key_ends[first:last].tolist()
        key_start = int(layout.key_ends[first - 1]) if first else 0
        for low, high, key_end in zip(bounds, bounds[1:], key_ends, strict=False):
            key = layout.key_blob[key_start:key_end].decode("utf-8", "surrogateescape")
            yield key, {names[j]: piece[lows[j] : highs[j]] for j in range(low, high)}
            key_start = key_end

    def _bytes(self, *, offset: int, size: int) -> bytes:
        if self._remote is None:
            return _HANDLES.read(self.path, offset=offset, size=size)
        self._remote.keep()
        try:
            return _HANDLES.read(self.path, offset=offset, size=size)
        except ShardError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
        # Left the cache between two reads: what an open handle would have survived.
        _HANDLES.close_deleted()
        self._remote.fetch()
        return _HANDLES.read(self.path, offset=offset, size=size)


def store_beside(path: Path) -> Path:
    """Write the sidecar of a local shard beside it, to be handed on or uploaded with it.

    Raises:
        ShardError: the shard cannot be read, or its folder not be written.
    """
    layout = ShardIndex.open(path).layout
    try:
        stamp = copied_stamp_of(path)
    except OSError:
        stamp = None
    if stamp is None or not save_layout(beside(path), layout, stamp):
        raise ShardError(f"cannot write {beside(path)}; check the permissions of the folder")
    return beside(path)


def summarise(
    shard: Path | CachedShard, *, is_new: bool = False, has_changed: bool = False
) -> Summary:
    """Number of samples and problems of a shard, without its layout where a sidecar has them.

    Args:
        is_new: the caller remembers the result and has no earlier one; an index beside a local
            shard is then taken as it is.
        has_changed: the caller has an earlier result; no index beside a local shard is used.
    Raises:
        ShardError: the file is missing, unreadable, or no uncompressed tar.
    """
    if isinstance(shard, CachedShard):
        layout = ShardIndex.open(shard).layout
    else:
        summary = _summary_of(shard, is_new=is_new)
        if summary is not None:
            return summary
        layout, _ = _layout_of(shard, has_changed=has_changed)
    return Summary(len(layout.key_ends), layout.problems, layout.mark, layout.content)


def _stamp(path: Path) -> Stamp | None:
    """None where the file cannot be found: walking it says what is wrong."""
    try:
        return stamp_of(path)
    except OSError:
        return None


def _summary_of(path: Path, *, is_new: bool) -> Summary | None:
    stamp = _stamp(path)
    if stamp is None:
        return None
    copy, own = sidecar_paths(path)
    summary = load_summary(own, stamp=stamp)
    if summary is None and is_new and not own.exists():
        summary = load_summary(copy, stamp=copied_stamp_of(path))
    return summary


def _layout_of(path: Path, *, has_changed: bool = False) -> tuple[ShardLayout, Path | None]:
    """The layout of a local shard: as this machine stored it, else as it lies beside a shard that
    this machine has not seen, else by walking over it.

    Returns:
        The layout, and the file that holds it; None where it could be stored nowhere.
    Raises:
        ShardError: the file is missing, unreadable, or no uncompressed tar.
    """
    stamp = _stamp(path)
    if stamp is None:
        return scan(path), None
    copy, own = sidecar_paths(path)
    layout = load_layout(own, size=stamp.size, stamp=stamp)
    if layout is not None:
        return layout, own
    stored: Path | None = None
    if not has_changed and not own.exists():
        layout = load_layout(copy, size=stamp.size, stamp=copied_stamp_of(path))
        stored = copy
    if layout is None:
        layout, stored = scan(path), None
    return layout, own if _save(own, layout, stamp) else stored


def _save(sidecar: Path, layout: ShardLayout, stamp: Stamp) -> bool:
    """In the cache; that it cannot be written is no error."""
    with suppress(OSError):
        sidecar.parent.mkdir(parents=True, exist_ok=True)
    return save_layout(sidecar, layout, stamp)
