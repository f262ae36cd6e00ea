"""Outputs that can be written: looked at before a command begins its work."""

import argparse
import tempfile
from pathlib import Path

from vlsuite.cli.printing import below
from vlsuite.errors import ConfigError

#: Options that name what a command writes.
_OUTPUTS = frozenset({"out", "contact_sheet", "missing", "uids", "sheet", "page"})
#: What is written there is refused where it is made, with other ways out.
_CACHE = "cache"
#: As their help calls a folder.
_FOLDERS = (None, "DIR")


def check_outputs(parser: argparse.ArgumentParser, parsed: argparse.Namespace) -> list[Path]:
    """Refuse outputs that cannot be written, of the command that was chosen.

    Returns:
        The folders that it writes to.
    Raises:
        ConfigError: see ``refuse_unwritable``.
    """
    given = vars(parsed)
    while inner := below(parser):
        (action,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
        if given.get(action.dest) not in inner:
            return []
        parser = inner[given[action.dest]]
    folders = []
    for option in parser._actions:
        path = given.get(option.dest)
        if not isinstance(path, Path):
            continue
        is_folder = option.metavar in _FOLDERS
        if option.dest in _OUTPUTS:
            name = option.option_strings[0] if option.option_strings else option.dest
            refuse_unwritable(path, option=name, is_folder=is_folder)
        if option.dest in (*_OUTPUTS, _CACHE) and is_folder:
            folders.append(path)
    return folders


def refuse_unwritable(path: Path, *, option: str = "--out", is_folder: bool = True) -> None:
    """Find out that a file or folder can be written, without leaving a trace.

    Args:
        path: what will be written; folders above a folder may be missing, the one of a file not.
        option: where another one is chosen.
        is_folder: whether a folder or a file will be written.
    Raises:
        ConfigError: it cannot.
    """
    choose = f"choose another with {option}"
    try:
        if path.exists() and path.is_dir() != is_folder:
            is_now, wanted = ("file", "folder") if is_folder else ("folder", "file")
            raise ConfigError(f"{option} {path} is a {is_now}; give a {wanted}, or {choose}")
        place = path if is_folder else path.parent
        if not is_folder and not place.exists():
            raise ConfigError(f"{option} {path}: there is no folder {place}; make it, or {choose}")
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{option} {path} cannot be written: {reason}; {choose}") from error
