"""Passwords of addresses in a run's settings: kept for its own resume, shown and handed on nowhere.

config.json, changes.jsonl, environment.json, model cards and reports have "http://***@HOST/...".
What stands there instead lies in credentials.json beside config.json, readable by its owner alone;
a folder that is copied without it, or by another user, needs the address again.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import read_object
from data_pipelines.printable import masked
from vlsuite.engine.whole_file import write_whole

CREDENTIALS = "credentials.json"


def keep_credentials(path: Path, settings: Mapping[str, Any]) -> None:
    """Write what ``masked`` takes from settings; no file where that is nothing.

    Args:
        settings: JSON-ready.
    Raises:
        OSError: the folder cannot be written; nothing is left behind.
    """
    kept = {masked(text): text for text in _texts(settings) if masked(text) != text}
    if not kept:
        path.unlink(missing_ok=True)
        return
    # nobody else may read it at any moment
    write_whole(path, json.dumps(kept, indent=2) + "\n", mode=0o600)


def with_credentials(path: Path, settings: Any) -> Any:
    """Settings as they were before they were masked, as far as the file says it."""
    try:
        kept = read_object(path)
    except (OSError, ValueError):
        return settings
    return _replaced(settings, kept)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


def _replaced(value: Any, kept: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(one, kept) for key, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, kept) for one in value]
    found = kept.get(value) if isinstance(value, str) else None
    # the file may be a stranger's: it may add passwords to addresses and nothing else
    return found if isinstance(found, str) and masked(found) == value else value
