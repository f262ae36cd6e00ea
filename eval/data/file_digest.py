"""A digest of a large file from its name, its size and both of its ends."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    import hashlib

#: How much of either end of a file goes into the digest, bytes.
_END_BYTES = 64 * 1024


def digest_ends(digest: "hashlib._Hash", path: Path) -> None:
    """Add name, size and both ends of a file to ``digest``.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        digest.update(_ends(stream, size))


def _ends(stream: BinaryIO, size: int) -> bytes:
    if size <= 2 * _END_BYTES:
        return stream.read()
    first = stream.read(_END_BYTES)
    stream.seek(size - _END_BYTES)
    return first + stream.read(_END_BYTES)
