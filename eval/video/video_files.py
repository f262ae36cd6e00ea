"""The videos of a list, found by the names of their files in a folder and below it."""

from pathlib import Path
from typing import NamedTuple

from data_pipelines.video_lists import files
from eval.errors import EvaluationError
from eval.video.clip_set import VideoFile


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
    """The files of ``data_pipelines.video_lists.files.VideoFiles`` as sources of a set."""

    def __init__(self, folder: Path) -> None:
        self._files = files.VideoFiles(folder)

    def find(self, name: str) -> VideoFile | None:
        """The file of a name; None where there is none."""
        path = self._files.find(name)
        return VideoFile(path) if path else None
