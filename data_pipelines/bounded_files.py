"""Files that others name: a table may say /dev/zero where it should name a picture."""

import errno
import os
from pathlib import Path

#: Bytes of a picture or a sound in a file of its own.
MOST_MEDIA_BYTES = 512 << 20


def bounded_bytes(path: Path, *, most_bytes: int) -> bytes:
    """A file's content.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than that, or no regular file (a pipe or device may have no end).
    """
    if path.exists() and not path.is_file():
        raise ValueError("no regular file")
    with path.open("rb") as stream:
        # as much room as is asked for is taken at once, whatever the file holds
        expected = min(os.fstat(stream.fileno()).st_size, most_bytes)
        data = stream.read(expected + 1)
        if expected < len(data) <= most_bytes:  # it has grown, or does not tell its size
            data += stream.read(most_bytes + 1 - len(data))
    if len(data) > most_bytes:
        raise ValueError(f"a file of more than {most_bytes:,} bytes")
    return data


def media_bytes(path: Path) -> bytes:
    """A picture or a sound, as ``Path.read_bytes``.

    Raises:
        OSError: it cannot be read, is larger than ``MOST_MEDIA_BYTES``, or is no regular file.
    """
    try:
        return bounded_bytes(path, most_bytes=MOST_MEDIA_BYTES)
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), str(path)) from error
