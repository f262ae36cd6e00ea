"""What a list says of a video, and the reading of the files that lists are kept in."""

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines.bounded_json import read_annotations
from data_pipelines.errors import DataError
from data_pipelines.skips import Skips
from data_pipelines.text_lines import lines_of


class Moment(NamedTuple):
    """A span of a video and what is said of it.

    Attributes:
        start: seconds from the first frame.
        end: likewise; None is the end of the video.
    """

    start: float
    end: float | None
    caption: str


class ListedVideo(NamedTuple):
    """A video by name.

    Attributes:
        name: of its file, with or without ending, or its path below the folder of the videos.
        captions: of the whole video, in the order of the list; may be none.
        moments: with captions of their own; most lists have none.
        source: what videos that were cut from one another share; empty where nothing is known.
    """

    name: str
    captions: tuple[str, ...] = ()
    moments: tuple[Moment, ...] = ()
    source: str = ""


ListReader = Callable[[Path, Skips], Iterator[ListedVideo]]


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Captions by name, in the order of the list; blank ones are left out, names stay."""
    found: dict[str, list[str]] = {}
    for name, caption in pairs:
        own = found.setdefault(name, [])
        if caption.strip():
            own.append(caption.strip())
    return {name: tuple(own) for name, own in found.items()}


def csv_rows(path: Path, columns: Iterable[str], *, of: str) -> Iterator[dict[str, str]]:
    """Rows of a table with a header, one after the other; a cell that is missing is empty.

    Args:
        columns: that must be there.
        of: which list it should be, for the message.
    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            rows = csv.DictReader(stream)
            missing = [name for name in columns if name not in (rows.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{path} lacks the columns {' and '.join(missing)}; it is no list of {of}"
                )
            for row in rows:
                yield {str(k): v if isinstance(v, str) else "" for k, v in row.items()}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path") from error
    except csv.Error as error:
        raise DataError(f"{path} is no table: {error}; check the file") from error


def json_of(path: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return read_annotations(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise DataError(f"{path} is no list of videos: {error}; check the file") from error


def lines_of_file(path: Path) -> list[str]:
    """Lines of a text.

    Raises:
        DataError: it cannot be read.
    """
    return lines_of(text_of(path))


def text_of(path: Path) -> str:
    """What a file of text holds; bytes that are no UTF-8 become question marks.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path") from error
