"""The file of a subset: a line of text, a header in JSON, the bits of all shards, the repeats.

Numbers are little-endian. After the first line come 8 bytes with the length of the header, the
header, then ceil(samples / 8) bytes of each shard, then the repeated rows of all shards (4 bytes
each), then how often each is taken besides once (4 bytes each). Nothing in it is unpickled, no
more is read than the header announces, and the digest is checked.
"""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from data_pipelines.errors import DataError
from data_pipelines.shards.atomic import replacing
from data_pipelines.shards.manifest import tool_version
from data_pipelines.subsets.subset import Repeats, ShardIdentity, Subset, SubsetShard

#: First line of the file.
MAGIC = b"vlsuite subset 1\n"

_LENGTH = struct.Struct("<Q")
_MOST_HEADER = 1 << 30  # bytes
_NUMBER = 4  # bytes of a row or a count


class _BrokenError(ValueError):
    """What is wrong with a file, in a few words."""


def write_subset(subset: Subset, path: Path) -> int:
    """Write a subset whole or not at all; returns the size of the file in bytes.

    Raises:
        DataError: it cannot be written.
    """
    header = json.dumps(_header(subset), ensure_ascii=True, separators=(",", ":")).encode()
    with replacing(path) as file:
        file.write(MAGIC + _LENGTH.pack(len(header)) + header)
        for part in subset.parts:
            file.write(part.bits.tobytes())
        for part in subset.parts:
            file.write(part.repeats.rows.astype("<u4").tobytes())
        for part in subset.parts:
            file.write(part.repeats.extra.astype("<u4").tobytes())
    return file.size


def read_subset(path: Path) -> Subset:
    """The subset of a file.

    Raises:
        DataError: it is missing, damaged, or no file of ``write_subset``.
    """
    try:
        with path.open("rb") as stream:
            return _read(stream, path.stat().st_size)
    except OSError as error:
        raise DataError(
            f"cannot read subset {path}: {error.strerror or error}; check the path, or make it "
            "with 'vlsuite curate subset'"
        ) from error
    except (_BrokenError, ValueError, TypeError, KeyError, RecursionError) as error:
        told = str(error) if isinstance(error, _BrokenError) else "its header cannot be read"
        raise DataError(
            f"{path} is no subset that can be used: {told}; make it with 'vlsuite curate subset'"
        ) from error


def is_subset(path: Path) -> bool:
    """Whether a file begins as one of ``write_subset``."""
    try:
        with path.open("rb") as stream:
            return stream.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _header(subset: Subset) -> dict[str, Any]:
    return {
        "tool": f"vlsuite {tool_version()}",
        "digest": subset.digest,
        "kept": subset.num_kept,
        "taken": subset.num_taken,
        "samples": subset.num_samples,
        "provenance": dict(subset.provenance),
        "shards": [[*part.shard, len(part.repeats.rows)] for part in subset.parts],
    }


def _read(stream: BinaryIO, size: int) -> Subset:
    if stream.read(len(MAGIC)) != MAGIC:
        raise _BrokenError("it begins otherwise")
    head = stream.read(_LENGTH.size)
    length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else size
    if length > min(size - stream.tell(), _MOST_HEADER):
        raise _BrokenError("it is cut off")
    header = json.loads(stream.read(length))
    shards = [_entry(entry) for entry in header["shards"]]
    parts = tuple(_parts(stream, shards, size - stream.tell()))
    subset = Subset(parts=parts, provenance=dict(header["provenance"]))
    if subset.digest != header["digest"]:
        raise _BrokenError("its content does not fit its digest")
    return subset


def _entry(entry: Any) -> tuple[ShardIdentity, int]:
    name, samples, mark, content, repeats = entry
    is_right = (
        all(isinstance(text, str) for text in (name, mark, content))
        and all(type(number) is int for number in (samples, repeats))
        and 0 <= repeats <= samples
    )
    if not is_right:
        raise _BrokenError(f"it describes a shard as {str(entry)[:80]}")
    return ShardIdentity(name, samples, mark, content), repeats


def _parts(
    stream: BinaryIO, shards: list[tuple[ShardIdentity, int]], size: int
) -> Iterator[SubsetShard]:
    lengths = [-(-shard.num_samples // 8) for shard, _ in shards]
    num_repeats = sum(repeats for _, repeats in shards)
    if sum(lengths) + 2 * _NUMBER * num_repeats != size:
        raise _BrokenError("it is cut off, or longer than it should be")
    bits = np.frombuffer(stream.read(sum(lengths)), dtype=np.uint8)
    rows = np.frombuffer(stream.read(_NUMBER * num_repeats), dtype="<u4").astype(np.uint32)
    extra = np.frombuffer(stream.read(_NUMBER * num_repeats), dtype="<u4").astype(np.uint32)
    begin = first = 0
    for (shard, repeats), length in zip(shards, lengths, strict=True):
        own = Repeats(rows[first : first + repeats], extra[first : first + repeats])
        part = SubsetShard(shard, bits[begin : begin + length], own)
        _check(part)
        yield part
        begin, first = begin + length, first + repeats


def _check(part: SubsetShard) -> None:
    """Bits past the last row would be samples that are not there."""
    spare = -part.shard.num_samples % 8
    if spare and int(part.bits[-1]) >> (8 - spare):
        raise _BrokenError(f"it chooses rows behind the end of {part.shard.name}")
    rows = part.repeats.rows.astype(np.int64)
    if not len(rows):
        return
    is_kept = rows < part.shard.num_samples
    if not (is_kept.all() and (np.diff(rows) > 0).all() and (part.repeats.extra > 0).all()):
        raise _BrokenError(f"it repeats rows of {part.shard.name} that cannot be")
    if not (part.bits[rows // 8] >> (rows % 8).astype(np.uint8) & 1).all():
        raise _BrokenError(f"it repeats rows of {part.shard.name} that it leaves out")
