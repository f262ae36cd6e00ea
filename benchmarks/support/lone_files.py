"""Files that a killed process was writing."""

import fcntl
from pathlib import Path


def left_alone(folder: Path) -> set[str]:
    """Names that unfinished files of a folder were to take, of those that no process holds."""
    found = set()
    for path in folder.glob(".*.unfinished"):
        try:
            with path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileNotFoundError, BlockingIOError):
            continue
        found.add(path.name[1:].rsplit(".", 2)[0])  # .NAME.RANDOM.unfinished
    return found
