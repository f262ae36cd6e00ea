"""The videos of a list, found by the names of their files in a folder and below it."""

import os
from functools import cached_property
from pathlib import Path

from data_pipelines.schema import VIDEO_SUFFIXES

_ENDINGS = frozenset(f".{suffix}" for suffix in VIDEO_SUFFIXES)


class VideoFiles:
    """Files by the path that a list gives, or by their name alone.

    Args:
        folder: searched with all folders below it, once, when a path does not lead to a file.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> Path | None:
        """The file of a name with or without its ending, or of a path below the folder.

        A path that leads out of the folder is looked up by its last part.
        """
        relative = Path(name)
        if len(relative.parts) > 1 and ".." not in relative.parts and not relative.is_absolute():
            path = self._folder / relative
            if path.is_file():
                return path
        is_ended = relative.suffix.lower() in _ENDINGS
        own = self._by_name
        return own.get(relative.name) or own.get(relative.stem if is_ended else relative.name)

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for parent, folders, names in os.walk(self._folder):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                if path.suffix.lower() in _ENDINGS:
                    found.setdefault(name, path)
                    found.setdefault(path.stem, path)
        return found
