"""The videos of a list, found by the names of their files in a folder and below it."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from eval.errors import EvaluationError
from eval.video.clip_set import VideoFile

#: Endings of the files that the sets are distributed with.
_ENDINGS = frozenset((".mp4", ".avi", ".webm", ".mkv", ".mov", ".mpg", ".mpeg", ".m4v", ".3gp"))


class ListPlace(NamedTuple):
    """Where a list is and where its videos are.

    Attributes:
        file: the list.
        videos: folder that holds them, at any depth.
    """

    file: Path
    videos: Path


def place_of(path: str) -> ListPlace:
    """Read "LIST" (videos in its folder or below) or "LIST@FOLDER".

    Raises:
        EvaluationError: there is no such file or folder.
    """
    listed, at, folder = path.rpartition("@")
    if not at or Path(path).exists():
        listed, folder = path, ""
    file = Path(listed)
    videos = Path(folder) if folder else file if file.is_dir() else file.parent
    if not file.exists():
        raise EvaluationError(f"there is no {file}; give the list, or LIST@FOLDER_OF_VIDEOS")
    if not videos.is_dir():
        raise EvaluationError(f"{videos} is no folder of videos; give LIST@FOLDER")
    return ListPlace(file, videos)


class VideoFiles:
    """Files by the path that a list gives, or by their name alone.

    Args:
        folder: searched once, with all folders below it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_name: dict[str, Path] = {}
        self.missing: Counter[str] = Counter()
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                if path.suffix.lower() in _ENDINGS:
                    self._by_name.setdefault(name, path)
                    self._by_name.setdefault(path.stem, path)

    def find(self, name: str) -> VideoFile | None:
        """The file of a name with or without its ending, or of a path below the folder.

        A path that leads out of the folder is looked up by its last part.
        """
        relative = Path(name)
        if len(relative.parts) > 1 and ".." not in relative.parts and not relative.is_absolute():
            path = self._folder / relative
            if path.is_file():
                return VideoFile(path)
        path_of_name = self._by_name.get(relative.name) or self._by_name.get(
            Path(relative.name).stem if relative.suffix.lower() in _ENDINGS else relative.name
        )
        return VideoFile(path_of_name) if path_of_name else None
