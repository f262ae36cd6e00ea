"""A short text that tells the content of one shard from another's, whatever the shards are called.

It follows from the names and sizes of all members and from the bytes at both ends, so that it is
found without reading a shard through, and does not change where a shard is moved, its folder is
renamed or the same members are packed again.
"""

import hashlib
from collections.abc import Sequence
from io import BufferedIOBase

import numpy as np
from jaxtyping import Int64, UInt16

_EDGE = 1 << 16  # bytes looked at, at either end
_LENGTH = 12  # hexadecimal digits


def content_mark(
    stream: BufferedIOBase,
    *,
    key_blob: bytes,
    suffixes: Sequence[str],
    starts: Int64[np.ndarray, " samples_plus_one"],
    offsets: Int64[np.ndarray, " members"],
    sizes: Int64[np.ndarray, " members"],
    suffix_ids: UInt16[np.ndarray, " members"],
    key_ends: Int64[np.ndarray, " samples"],
) -> str:
    """The mark of a shard whose samples lie as said (see ``ShardLayout``).

    Args:
        stream: of the shard.
    Returns:
        12 hexadecimal digits of SHA-256.
    """
    digest = hashlib.sha256()
    names = "\0".join(suffixes).encode("utf-8", "surrogateescape")
    arrays = (key_ends, starts, suffix_ids, sizes)
    for part in (key_blob, names, *(array.tobytes() for array in arrays)):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    if len(offsets):
        end = int(offsets[-1] + sizes[-1])
        for place in (int(offsets[0]), max(int(offsets[0]), end - _EDGE)):
            stream.seek(place)
            piece = stream.read(_EDGE)
            # Members alone: their headers hold times and owners.
            for row in np.flatnonzero((offsets < place + _EDGE) & (offsets + sizes > place)):
                begin = int(offsets[row]) - place
                digest.update(piece[max(begin, 0) : max(begin + int(sizes[row]), 0)])
    return digest.hexdigest()[:_LENGTH]
