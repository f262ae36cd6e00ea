"""The file of a caption column: texts of many shards, any of which is found without reading more.

After the first line come, for each shard, rows + 1 places (little-endian, 4 bytes) in its texts and
the texts in UTF-8; then a description in JSON, its length in 8 bytes, and the first line again. A
row of no bytes has no text. The file is mapped, so its size takes no memory.
"""

import hashlib
import json
import mmap
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.bounded_json import parsed_json
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import NewFile, replacing

#: First line of the file, and its last.
MAGIC = b"vlsuite captions 1\n"

#: Name of the file in the folder of a column.
FILE_NAME = "column.captions"

_LENGTH = struct.Struct("<Q")
_PLACES = struct.Struct("<II")
_PLACE = 4  # bytes
_MOST_TEXT = (1 << 32) - 1  # bytes of all texts of a shard
_MOST_DESCRIPTION = 1 << 30  # bytes
_DIGITS = 32  # of the digest, hexadecimal


class ColumnShard(NamedTuple):
    """Where the texts of one shard lie, and which shard that is.

    Attributes:
        name: file name of the shard.
        rows: samples in it.
        content: its digest as tables have it.
        texts: rows that have one.
        start: of its places in the file, bytes.
        size: of its texts, bytes.
        sha256: of places and texts.
    """

    name: str
    rows: int
    content: str
    texts: int
    start: int
    size: int
    sha256: str


class ShardTexts(NamedTuple):
    """What is written of one shard: a text for each row, None where it has none."""

    name: str
    content: str
    texts: Sequence[str | None]


def write_column(
    path: Path, shards: Iterable[ShardTexts], *, name: str, provenance: Mapping[str, JsonValue]
) -> str:
    """Write a column whole or not at all, one shard in memory at a time; returns its digest.

    Args:
        name: of the column.
        provenance: how its texts were made.
    Raises:
        DataError: it cannot be written, or the texts of a shard exceed 4 GiB.
    """
    with replacing(path) as file:
        file.write(MAGIC)
        entries = [_write_shard(file, shard) for shard in shards]
        digest = _digest(entries)
        told = {
            "name": name,
            "digest": digest,
            "provenance": dict(provenance),
            "shards": [list(entry) for entry in entries],
        }
        text = json.dumps(told, ensure_ascii=True, sort_keys=True).encode()
        file.write(text + _LENGTH.pack(len(text)) + MAGIC)
    return digest


class CaptionColumn:
    """A column of captions, opened. May be pickled; each process maps the file itself.

    Args:
        path: of the file, or of the folder that has it as ``column.captions``.
    Raises:
        DataError: it is missing, damaged, or no file of ``write_column``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path / FILE_NAME if path.is_dir() else path
        told = _description(self.path)
        try:
            self.name = str(told["name"])
            self.digest = str(told["digest"])
            self.shards = tuple(_entry(entry) for entry in told["shards"])
        except (KeyError, TypeError, ValueError) as error:
            raise _broken(self.path, "its description cannot be read") from error
        if self.digest != _digest(self.shards):
            raise _broken(self.path, "its description does not fit its digest")
        ends = [entry.start + _PLACE * (entry.rows + 1) + entry.size for entry in self.shards]
        begins = [entry.start for entry in self.shards]
        if [len(MAGIC), *ends] != [*begins, told["end"]]:
            raise _broken(self.path, "it is cut off, or longer than it should be")

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_map"}

    @property
    def num_texts(self) -> int:
        """Of all shards."""
        return sum(entry.texts for entry in self.shards)

    def text(self, number: int, row: int) -> str | None:
        """The text of a row of the shard of this number; None where it has none.

        Raises:
            DataError: the file was damaged.
        """
        entry = self.shards[number]
        assert 0 <= row < entry.rows, f"{entry.name} has {entry.rows} rows, not {row + 1}"
        begin, end = _PLACES.unpack_from(self._map, entry.start + _PLACE * row)
        if not begin <= end <= entry.size:
            raise _broken(self.path, f"row {row} of {entry.name} lies outside")
        first = entry.start + _PLACE * (entry.rows + 1)
        try:
            return self._map[first + begin : first + end].decode() or None
        except UnicodeDecodeError as error:
            raise _broken(self.path, f"row {row} of {entry.name} is no text") from error

    def texts(self, number: int) -> Iterator[str | None]:
        """Of all rows of a shard."""
        return (self.text(number, row) for row in range(self.shards[number].rows))

    @cached_property
    def _map(self) -> mmap.mmap:
        try:
            with self.path.open("rb") as stream:
                return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error


def _write_shard(file: NewFile, shard: ShardTexts) -> ColumnShard:
    encoded = [(text or "").encode() for text in shard.texts]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    size = int(ends[-1])
    if size > _MOST_TEXT:
        raise DataError(
            f"the captions of {shard.name} have {size:,} bytes, and 4 GiB a shard are possible; "
            "write smaller shards with 'vlsuite curate reshard'"
        )
    places, texts = ends.astype("<u4").tobytes(), b"".join(encoded)
    entry = ColumnShard(
        name=shard.name,
        rows=len(encoded),
        content=shard.content,
        texts=sum(map(bool, encoded)),
        start=file.size,
        size=size,
        sha256=hashlib.sha256(places + texts).hexdigest(),
    )
    file.write(places)
    file.write(texts)
    return entry


def _digest(shards: Sequence[ColumnShard]) -> str:
    told = [[entry.name, entry.rows, entry.content, entry.sha256] for entry in shards]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:_DIGITS]


def _description(path: Path) -> dict[str, Any]:
    """The JSON at the end; "end" is where it begins."""
    tail = _LENGTH.size + len(MAGIC)
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            if stream.read(len(MAGIC)) != MAGIC:
                raise _broken(path, "it begins otherwise")
            stream.seek(max(size - tail, 0))
            last = stream.read(tail)
            if len(last) < tail or last[_LENGTH.size :] != MAGIC:
                raise _broken(path, "it is cut off")
            length = _LENGTH.unpack(last[: _LENGTH.size])[0]
            if length > min(size - tail - len(MAGIC), _MOST_DESCRIPTION):
                raise _broken(path, "it is cut off")
            stream.seek(size - tail - length)
            told = parsed_json(stream.read(length))
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise _broken(path, "its description cannot be read") from error
    if not isinstance(told, dict):
        raise _broken(path, "its description cannot be read")
    return {**told, "end": size - tail - length}


def _entry(stored: Any) -> ColumnShard:
    entry = ColumnShard(*stored)
    texts, numbers = (entry.name, entry.content, entry.sha256), entry[1:2] + entry[3:6]
    if not all(isinstance(text, str) for text in texts) or not all(
        type(number) is int and number >= 0 for number in numbers
    ):
        raise ValueError("no shard")
    return entry


def _unreadable(path: Path, error: Exception) -> DataError:
    told = error.strerror if isinstance(error, OSError) else None
    return DataError(
        f"cannot read the captions {path}: {told or error}; check the path, or make them with "
        "'vlsuite curate rewrite'"
    )


def _broken(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} is no caption column that can be used: {why}; make it again with 'vlsuite curate "
        "rewrite'"
    )
