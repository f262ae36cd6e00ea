"""Files that another machine wrote, seen from this one."""

import time
from pathlib import Path

from data_pipelines.errors import DataError

#: A network file system may keep names for so long that another machine's files are not seen.
_SEEN_AFTER = 60.0  # seconds
_LOOK_EVERY = 0.5  # seconds


def await_file(path: Path, size: int | None = None) -> None:
    """Wait until a file that a node of a cluster wrote is seen here, whole.

    Args:
        size: in bytes; None: any.
    Raises:
        DataError: it does not come.
    """
    end = time.monotonic() + _SEEN_AFTER
    while not path.is_file() or (size is not None and path.stat().st_size != size):
        if time.monotonic() > end:
            raise DataError(
                f"a node of the cluster wrote {path}, which is not here; what is written must lie "
                "on storage that all nodes share: choose another --out"
            )
        time.sleep(_LOOK_EVERY)
