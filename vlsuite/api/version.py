"""Which version of vlsuite this is."""

import tomllib
from importlib import metadata
from pathlib import Path


def version() -> str:
    """Of the installed distribution; in a source tree that is not installed, of its pyproject."""
    try:
        return metadata.version("vlsuite")
    except metadata.PackageNotFoundError:
        return _of_source_tree(Path(__file__).resolve().parents[2])


def _of_source_tree(root: Path) -> str:
    """With a local part, as in "0.1.0+source"; "0+unknown" where nothing says it."""
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return "0+unknown"
    if project.get("name") != "vlsuite":
        return "0+unknown"
    return f"{project['version']}+source"


__version__ = version()
