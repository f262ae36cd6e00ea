"""Absolute paths as a model card shows them: without the folders of one machine or user."""

import re
from typing import Any

#: At the beginning of a word of a command or of a value, behind "=", "," or the kind of a model.
_ABSOLUTE = re.compile(r"(^|[=,:'\"`(\s])(/(?!/)[^,='\"`)\s]+)")
_DEPTH = 4  # parts from which two are shown: /home/NAME/set is shown as .../set

NOTE = "Absolute paths are shown by their last parts."


def short_paths(text: str) -> str:
    """Text in which absolute paths are cut to their last parts; addresses stay whole."""
    return _ABSOLUTE.sub(lambda found: found[1] + _short(found[2]), text)


def short_paths_in(value: Any) -> Any:
    """A JSON value with all its texts shortened."""
    if isinstance(value, str):
        return short_paths(value)
    if isinstance(value, dict):
        return {key: short_paths_in(inner) for key, inner in value.items()}
    return [short_paths_in(inner) for inner in value] if isinstance(value, list) else value


def _short(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    kept = parts[-2:] if len(parts) >= _DEPTH else parts[-1:]
    return "/".join(["...", *kept])
