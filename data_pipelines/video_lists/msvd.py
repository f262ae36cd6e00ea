"""MSVD (Chen and Dolan 2011): lists of names beside the captions of all videos.

``train_list.txt``, ``val_list.txt``, ``test_list.txt`` (a name a line) lie beside
``AllVideoDescriptions.txt`` ("NAME caption"). The pickled captions that some publish are not read.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from data_pipelines.skips import Skips
from data_pipelines.video_lists.listed import ListedVideo, grouped, lines_of_file

CAPTIONS = "AllVideoDescriptions.txt"

_CLIP = re.compile(r"(.+)_\d+_\d+")


def read_msvd(path: Path, skips: Skips) -> Iterator[ListedVideo]:
    """The names of a list with their captions; of the file of captions itself, all of them.

    Raises:
        DataError: a file is missing or cannot be read.
    """
    lines = lines_of_file(path.with_name(CAPTIONS))
    pairs = [line.strip().partition(" ") for line in lines if line and not line.startswith("#")]
    own = grouped((name, caption) for name, _, caption in pairs if name)
    listed = own if path.name == CAPTIONS else dict.fromkeys(_names(path))
    for name in listed:
        match = _CLIP.fullmatch(name)
        yield ListedVideo(name, own.get(name, ()), (), match[1] if match else name)


def _names(path: Path) -> list[str]:
    return [line.strip() for line in lines_of_file(path) if line.strip()]
