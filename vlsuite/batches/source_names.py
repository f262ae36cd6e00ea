"""Short names of data sources for logs."""

import re
from collections.abc import Sequence

from data_pipelines.printable import masked

_PATTERN = re.compile(r"[{*?\[].*")
_ENDING = re.compile(r"[-_.]*\d*$")


def source_names(patterns: Sequence[str]) -> tuple[str, ...]:
    """A name for each pattern: its folder's, with the shards' common stem where folders repeat.

    A single file is named by its stem. Names that still repeat are numbered.
    """
    parts = [_folder_and_stem(masked(pattern)) for pattern in patterns]
    folders = [folder or stem for folder, stem in parts]
    names = [
        f"{folder}/{stem}" if folder and stem and folders.count(name) > 1 else name
        for name, (folder, stem) in zip(folders, parts, strict=True)
    ]
    return tuple(
        f"{name}-{names[: place + 1].count(name)}" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    )


def _folder_and_stem(pattern: str) -> tuple[str, str]:
    folder, _, last = pattern.rstrip("/").rpartition("/")
    if not (last.endswith(".tar") or _PATTERN.search(last)):
        return last, ""
    is_single = not _PATTERN.search(last)
    stem = _PATTERN.sub("", last.removesuffix(".tar"))
    if is_single:
        return "", stem
    return _PATTERN.sub("", folder).rstrip("/").rpartition("/")[2], _ENDING.sub("", stem)
