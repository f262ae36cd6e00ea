"""What paths look like, told quickly: for advice to those who named the wrong thing."""

import mmap
from collections.abc import Collection
from itertools import islice
from pathlib import Path

_MOST_LOOKED_AT = 1000  # files of a folder


def holds(folder: Path, suffixes: Collection[str]) -> bool:
    """Whether a folder has files of some kind, in sub-folders or not, among the first it lists.

    Args:
        suffixes: with their dots, in lower case.
    """
    inside = islice(folder.rglob("*"), _MOST_LOOKED_AT) if folder.is_dir() else ()
    return any(one.suffix.lower() in suffixes for one in inside)


def has_keys(path: Path, *keys: str) -> bool:
    """Whether a file of JSON has all these words in quotation marks; it is searched, not read."""
    if path.suffix.lower() != ".json" or not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return all(content.find(f'"{key}"'.encode()) >= 0 for key in keys)
