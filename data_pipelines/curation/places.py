"""Where a run found its table and a scan its shards, for reports; no part of what they made."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from data_pipelines.bounded_json import read_json
from data_pipelines.shards.atomic import write_file

PLACES_NAME = "places.json"

#: What is found where, in the words of the file.
TABLE_PLACE, SHARD_PLACES = "table", "shards"


def note_places(folder: Path, what: str, paths: Iterable[str | Path]) -> None:
    """Store paths, seen from the folder, so that both may move together.

    Raises:
        DataError: the folder cannot be written.
    """
    own = os.path.abspath(folder)
    places = [path if "://" in str(path) else os.path.relpath(path, own) for path in paths]
    text = json.dumps({what: list(map(str, places))}, indent=1)
    write_file(folder / PLACES_NAME, f"{text}\n".encode())


def stored_places(folder: Path, what: str) -> list[str]:
    """The paths as they hold here; none where nothing readable is stored."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        places = read_json(folder / PLACES_NAME)[what]
        return [
            path if "://" in path else os.path.normpath(folder / path)
            for path in places
            if isinstance(path, str)
        ]
    return []
