"""What a path to captioned videos is: a folder, a table, or a list as distributed, by its looks.

A list is told by what stands in it (keys of JSON, names and shape of columns), not by its name,
since people rename files; MSVD's lists are names alone, and told by the captions beside them.
"""

import csv
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from data_pipelines.errors import ConfigError, DataError
from data_pipelines.looks import has_keys
from data_pipelines.schema import VIDEO_SUFFIXES
from data_pipelines.table_rows import TABLE_SUFFIXES
from data_pipelines.video_lists.listed import json_of
from data_pipelines.video_lists.msvd import CAPTIONS

#: Formats by name, and what messages call them.
_CALLED = {
    "folder": "a folder of videos",
    "table": "a table",
    "webvid": "a list of WebVid",
    "msr-vtt": "a list of MSR-VTT",
    "msvd": "a list of MSVD",
    "didemo": "a list of DiDeMo",
    "lsmdc": "a list of LSMDC",
}
FORMATS = tuple(_CALLED)

_MOST_LINE = 1 << 16  # characters of a line
_VIDEO = re.compile(rf"\.({'|'.join(VIDEO_SUFFIXES)})\b", re.IGNORECASE)
_TIME = re.compile(r"\d\d\.\d\d\.\d\d\.\d+")
_COLUMNS = {"webvid": {"videoid", "page_dir", "name"}, "msr-vtt": {"video_id", "sentence"}}


def called(name: str) -> str:
    """What messages call a format."""
    return _CALLED[name]


def format_of(path: Path, *, of_table: Collection[str], among: Collection[str] = FORMATS) -> str:
    """The one format that a path can be of.

    Args:
        of_table: the columns of a table; empty where its first line is data.
        among: formats that other settings allow; where nothing looks like these, all are.
    Raises:
        DataError: there is nothing, or it looks like no format.
        ConfigError: it looks like several.
    """
    found = possible_formats(path, of_table=of_table)
    found = [name for name in found if name in among] or found
    if len(found) > 1:
        raise ConfigError(
            f"{path} may be {' or '.join(map(called, found))}; say which: "
            f"{' or '.join(f'--format {name}' for name in found)}"
        )
    if not found:
        raise DataError(
            f"{path} looks like no list of videos that is known; say what it is by --format "
            f"({', '.join(FORMATS)})"
        )
    return found[0]


def possible_formats(path: Path, *, of_table: Collection[str] = ("path", "caption")) -> list[str]:
    """All formats that a path looks like; a table of an unknown kind of columns is a table.

    Raises:
        DataError: there is nothing, it cannot be read, or it holds names without captions.
    """
    if path.is_dir():
        return ["folder"]
    if not path.is_file():
        raise DataError(f"{path} does not exist; check the path")
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _of_json(json_of(path))
    if suffix == ".txt":
        return ["msvd"] if path.with_name(CAPTIONS).is_file() else []
    if suffix == ".csv":
        return _of_csv(path, of_table)
    return ["table"] if suffix in TABLE_SUFFIXES else []


def is_of_videos(path: Path) -> bool:
    """Whether a file is a list as distributed, or a text table whose second line names a video.

    Raises:
        DataError: it cannot be read, or holds names without captions.
    """
    if path.suffix.lower() == ".json" and not (
        has_keys(path, "videos", "sentences") or has_keys(path, "video", "description")
    ):
        return False
    if not path.is_file():
        return False
    if possible_formats(path) not in ([], ["table"]):
        return True
    return path.suffix.lower() in (".csv", ".tsv") and bool(_VIDEO.search(_lines(path, 2)[-1]))


def _of_json(content: Any) -> list[str]:
    if isinstance(content, dict) and {"videos", "sentences"} <= content.keys():
        return ["msr-vtt"]
    first = content[0] if isinstance(content, list) and content else None
    is_didemo = isinstance(first, dict) and {"video", "description"} <= first.keys()
    return ["didemo"] if is_didemo else []


def _of_csv(path: Path, of_table: Collection[str]) -> list[str]:
    (line,) = _lines(path, 1)
    cells = line.split("\t")
    if len(cells) == 6 and all(map(_TIME.fullmatch, map(str.strip, cells[1:5]))):
        return ["lsmdc"]
    if not of_table:
        return ["table"]
    names = {name.strip() for name in next(csv.reader([line]), [])}
    found = ["table"] if names.issuperset(of_table) else []
    found += [name for name, columns in _COLUMNS.items() if columns <= names]
    if not found and names == {"video_id"}:
        raise DataError(
            f"{path} holds names without captions; they choose from a list: vlsuite data build "
            f"video LIST --only {path} --out DIR"
        )
    return found or ["table"]


def _lines(path: Path, count: int) -> list[str]:
    """The first lines; empty where there are fewer."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
            return [stream.readline(_MOST_LINE).rstrip("\r\n") for _ in range(count)]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; check the path") from error
