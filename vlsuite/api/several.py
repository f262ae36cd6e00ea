"""What callers name: one or several texts or paths, a folder; a single string is never letters."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vlsuite.errors import ConfigError


def names(given: str | os.PathLike | Iterable[str | os.PathLike], what: str) -> tuple[str, ...]:
    """Names, paths or texts as a tuple of text.

    Args:
        given: one of them, or several.
        what: the argument's name, for messages.
    Raises:
        ConfigError: something else.
    """
    if isinstance(given, str | os.PathLike):
        return (name(given, what),)
    if not isinstance(given, Iterable) or isinstance(given, bytes | bytearray):
        raise ConfigError(f"{what} is {_kind(given)}; give a string, or a sequence of strings")
    return tuple(name(one, f"{what}[{place}]") for place, one in enumerate(given))


def name(given: Any, what: str) -> str:
    """One name, path or text.

    Raises:
        ConfigError: something else.
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(text, str):
        raise ConfigError(f"{what} is {_kind(given)}; give a string or a path")
    return text


def folder(given: Any, what: str) -> Path:
    """One folder.

    Raises:
        ConfigError: no path.
    """
    return Path(name(given, what))


def _kind(given: Any) -> str:
    return "None" if given is None else f"of type {type(given).__name__} ({str(given)[:40]!r})"
