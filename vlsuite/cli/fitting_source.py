"""The source that a path is for, where a path is given in place of a source's name."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from pathlib import Path

from data_pipelines.errors import DataError
from data_pipelines.options import flag_of
from data_pipelines.sources.source import Source, sources


def fitting_commands(word: str, behind: Sequence[str]) -> str:
    """What to write instead: the command of each source that reads such a path; else empty.

    Args:
        word: what was given as a source.
        behind: the words behind it, which the command keeps.
    """
    path = Path(word)
    if not path.exists():
        return ""
    found = [one for one in sources.listed() if not one.problem and _fits(one.component, path)]
    commands = [_command(one.name, one.component, word, behind) for one in found]
    return f"write {', or '.join(commands)}" if commands else ""


def _fits(source: type[Source], path: Path) -> bool:
    try:
        return source.fits(path)
    except (DataError, OSError):
        return False


def _command(name: str, source: type[Source], word: str, behind: Sequence[str]) -> str:
    words = ["vlsuite", "data", "build", name, word, *behind]
    for flag, stands_for in (*_required(source), ("--out", "DIR")):
        if not any(one == flag or one.startswith(f"{flag}=") for one in behind):
            words += [flag, stands_for]
    return shlex.join(words)


def _required(source: type[Source]) -> Iterator[tuple[str, str]]:
    """Flags of a source that must be given, and what stands for their values."""
    for entry in fields(source):
        has_default = entry.default is not MISSING or entry.default_factory is not MISSING
        if not has_default and not entry.metadata.get("positional"):
            yield flag_of(entry), entry.metadata.get("metavar") or entry.name.upper()
