"""Some rows of a stored index, read from where they lie in its file.

A shard of ten thousand samples has an index of a megabyte. Who reads a few samples here and a few
there reads the rows of these alone. The index as a whole was looked through when it was opened;
whatever is not as it was then gives None, and the index is opened again.
"""

import os
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from data_pipelines.shards.scan import ShardLayout

_ARRAYS = ("starts", "offsets", "sizes", "suffix_ids", "key_ends", "key_blob")
_LOCAL_HEADER = 30  # bytes, before name and extra field (APPNOTE.TXT 4.3.7)
_NPY = b"\x93NUMPY"  # how an array begins (numpy.lib.format)
_LONGEST_HEADER = 512  # bytes, of arrays of one axis
_ALIGNED = 64  # bytes
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


class StoredRows(NamedTuple):
    """Where the arrays of an index lie.

    Attributes:
        path: of the index.
        version: size, modification time and inode of that file.
        begins: first byte of each array of ``_ARRAYS``.
        num_samples: of the shard.
        suffixes, mark, content: of its layout.
    """

    path: Path
    version: tuple[int, int, int]
    begins: tuple[int, ...]
    num_samples: int
    suffixes: tuple[str, ...]
    mark: str
    content: str


def locate(path: Path, layout: ShardLayout) -> StoredRows | None:
    """The rows of a stored index; None where its file is not what was written from the layout.

    Args:
        path: of the index.
        layout: what was just read from it.
    """
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as stored:
            version = _version(stream.fileno())
            begins = tuple(
                _begin(stream, stored.getinfo(f"{name}.npy"), _num_bytes(getattr(layout, name)))
                for name in _ARRAYS
            )
    except _UNREADABLE:
        return None
    return StoredRows(
        path,
        version,
        begins,
        len(layout.key_ends),
        layout.suffixes,
        layout.mark,
        layout.content,
    )


def read_rows(rows: StoredRows, first: int, last: int) -> ShardLayout | None:
    """Samples ``first`` to ``last`` (exclusive) as a layout of their own; None where the file is
    another one now."""
    try:
        descriptor = os.open(rows.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    try:
        if _version(descriptor) != rows.version:
            return None
        file = _File(descriptor, rows.begins)
        starts = file.numbers(0, first, last + 1)
        members = int(starts[0]), int(starts[-1])
        ends = file.numbers(4, max(first - 1, 0), last)
        key_begin = int(ends[0]) if first else 0
        ends = ends[1:] if first else ends
        layout = ShardLayout(
            starts=starts - starts[0],
            offsets=file.numbers(1, *members),
            sizes=file.numbers(2, *members),
            suffix_ids=file.short_numbers(3, *members),
            key_ends=ends - key_begin,
            key_blob=file.bytes(5, key_begin, int(ends[-1]), width=1),
            suffixes=rows.suffixes,
            problems=(),
            mark=rows.mark,
            content=rows.content,
        )
    except (OSError, ValueError, EOFError, IndexError):
        return None
    finally:
        os.close(descriptor)
    return layout


def cut(layout: ShardLayout, first: int, last: int) -> ShardLayout:
    """Samples ``first`` to ``last`` (exclusive) of a layout as a layout of their own."""
    members = slice(int(layout.starts[first]), int(layout.starts[last]))
    begin = int(layout.key_ends[first - 1]) if first else 0
    return layout._replace(
        starts=layout.starts[first : last + 1] - layout.starts[first],
        offsets=layout.offsets[members].copy(),
        sizes=layout.sizes[members].copy(),
        suffix_ids=layout.suffix_ids[members].copy(),
        key_ends=layout.key_ends[first:last] - begin,
        key_blob=layout.key_blob[begin : int(layout.key_ends[last - 1])],
        problems=(),
    )


class _File:
    """Arrays of an open index."""

    def __init__(self, descriptor: int, begins: tuple[int, ...]) -> None:
        self._descriptor = descriptor
        self._begins = begins

    def bytes(self, array: int, first: int, last: int, *, width: int) -> bytes:
        """Raises ``EOFError`` where the file ends before."""
        size = (last - first) * width
        found = os.pread(self._descriptor, size, self._begins[array] + first * width)
        if len(found) < size:
            raise EOFError
        return found

    def numbers(self, array: int, first: int, last: int) -> np.ndarray:
        return np.frombuffer(self.bytes(array, first, last, width=8), dtype=np.int64)

    def short_numbers(self, array: int, first: int, last: int) -> np.ndarray:
        return np.frombuffer(self.bytes(array, first, last, width=2), dtype=np.uint16)


def _version(descriptor: int) -> tuple[int, int, int]:
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns, status.st_ino


def _num_bytes(value: "np.ndarray | bytes") -> int:
    return len(value) if isinstance(value, bytes) else value.nbytes


def _begin(stream: BinaryIO, entry: zipfile.ZipInfo, num_bytes: int) -> int:
    """First byte of an array's numbers, which end its file.

    Raises:
        ValueError: it is compressed, or of another length.
    """
    stream.seek(entry.header_offset)
    header = stream.read(_LOCAL_HEADER)
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    start = entry.header_offset + _LOCAL_HEADER + names
    stream.seek(start)
    if entry.compress_type != zipfile.ZIP_STORED or stream.read(6) != _NPY:
        raise ValueError("not stored as it is")
    length = entry.file_size - num_bytes
    if not 0 < length <= _LONGEST_HEADER or length % _ALIGNED:
        raise ValueError("another array")
    return start + length
