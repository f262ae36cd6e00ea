"""Runs and settings of ``vlsuite omnibench`` as its actions name them on the command line."""

from pathlib import Path
from typing import TYPE_CHECKING

from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from eval.respondents.question import Setting

_RESPONSES = "responses.jsonl"


def log_in(folder: Path) -> Path:
    """The log of the run in a folder."""
    return folder / _RESPONSES


def log_of(path: Path) -> Path:
    """The log that a path names: its own file, or the one in the folder of a run."""
    return log_in(path) if path.is_dir() else path


def chosen_settings(text: str) -> "list[Setting]":
    """Settings of a list with commas, in the order of the benchmark.

    Raises:
        ConfigError: one of them is unknown, or there is none.
    """
    from eval.respondents.question import SETTINGS

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in (*SETTINGS, "all"):
            raise ConfigError(f"unknown setting '{name}'; choose from all, {', '.join(SETTINGS)}")
    if not names:
        raise ConfigError(f"no setting; choose from all, {', '.join(SETTINGS)}")
    return [s for s in SETTINGS.values() if "all" in names or s.name in names]


def setting_names(text: str) -> list[str]:
    """The names of the same; empty for "all", which are those that a log has.

    Raises:
        ConfigError: see ``chosen_settings``.
    """
    chosen = chosen_settings(text)
    return [] if "all" in text.split(",") else [setting.name for setting in chosen]
