"""Components from outside the package: installed plug-ins, and files or modules the user names.

An installed distribution announces its modules as entry points of the group ``vlsuite.plugins``;
they are imported when a name is looked up that the package itself does not have, or listed. A
file or module is named by ``--import`` or in ``VLSUITE_IMPORT``. Importing runs the code: nothing
is ever imported because a data set, a model folder or a run says so.
"""

import importlib
import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path

from data_pipelines.errors import ConfigError

GROUP = "vlsuite.plugins"
#: Files and modules to import, separated as in PATH.
VARIABLE = "VLSUITE_IMPORT"

_problems: dict[str, str] = {}
_imported: dict[str, str] = {}
_was_loaded = False


def load_installed() -> None:
    """Import the plug-ins of all installed distributions, once; a broken one is noted."""
    global _was_loaded
    if _was_loaded:
        return
    _was_loaded = True
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda p: (p.name, p.value)):
        try:
            point.load()
        except Exception as error:
            _problems[point.name] = f"plug-in '{point.name}' ({point.value}): {told(error)}"


def problems() -> list[str]:
    """What is wrong with installed plug-ins, one line each."""
    return list(_problems.values())


def imported() -> list[str]:
    """What ``import_all`` has imported so far, as it was named, paths made absolute."""
    return list(_imported)


def import_all(named: list[str]) -> None:
    """Import what ``VLSUITE_IMPORT`` names, then ``named``; what was imported before is left.

    Raises:
        ConfigError: there is no such file or module, or importing it fails; one line.
    """
    from_environment = os.environ.get(VARIABLE, "").split(os.pathsep)
    for name in [*filter(None, from_environment), *named]:
        _import(name)


def _import(name: str) -> None:
    is_file = name.endswith(".py") or os.sep in name
    key = str(Path(name).resolve()) if is_file else name
    if key in _imported:
        return
    try:
        _imported[key] = _import_file(Path(key)) if is_file else _import_module(name)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"cannot import {name} (--import or {VARIABLE}): {told(error)}"
        ) from error


def _import_module(name: str) -> str:
    importlib.import_module(name)
    return name


def _import_file(path: Path) -> str:
    if not path.is_file():
        raise ImportError("no such file; give a .py file or the name of an installed module")
    name = path.stem if path.stem not in sys.modules else f"vlsuite_import_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return name


def told(error: BaseException) -> str:
    """An exception in one line: what it is, and where in the file it was raised from."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return text if isinstance(error, ImportError) else f"{type(error).__name__}: {text}"
