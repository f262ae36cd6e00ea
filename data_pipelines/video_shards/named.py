"""A video to store: its file, and what is known of it before it is opened."""

from pathlib import Path
from typing import NamedTuple

from data_pipelines.video_lists.listed import Moment


class NamedVideo(NamedTuple):
    """One file.

    Attributes:
        key: what it is called in its collection.
        captions: of the whole video.
        moments: spans with captions of their own.
        label: class index, None where the collection has no classes.
        source: what videos that were cut from one another share.
    """

    key: str
    path: Path
    captions: tuple[str, ...]
    moments: tuple[Moment, ...] = ()
    label: int | None = None
    source: str = ""
