"""Inputs that are there: looked at before a command imports what takes seconds.

Only what is plainly missing is refused; whether a file holds what it should is found out by what
reads it.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from vlsuite.errors import ConfigError, DataError

#: Addresses, patterns, and what is read by other rules.
_PATTERN = re.compile(r"://|[*?\[{]|^pipe:")
_LIST = re.compile(r"[,;:@=]")


def refuse_missing_data(paths: Iterable[str | Path], *, option: str = "") -> None:
    """Refuse paths that lead nowhere; addresses and patterns pass.

    Args:
        paths: files and folders; PATH@FOLDER and NAME=PATH pass where their path exists.
        option: which one gives them; empty for words without an option.
    Raises:
        DataError: nothing is there.
    """
    for path in map(str, paths):
        if not _PATTERN.search(path) and not any(map(os.path.lexists, _places(path))):
            told = f"no shard matches {path}" if option else f"{path} does not exist"
            given = f" given with {option}" if option else ""
            raise DataError(f"{told}; check the path{given}")


def _places(path: str) -> Iterator[str]:
    """The path itself, and what is one in NAME=PATH, PATH@FOLDER and both."""
    for text in (path, path.partition("=")[2]):
        yield text
        yield text.rpartition("@")[0]


def refuse_missing_shards(overrides: Iterable[str]) -> None:
    """Refuse settings data.train=PATH whose path leads nowhere; lists and weights pass.

    Raises:
        DataError: nothing is there.
    """
    for override in overrides:
        key, _, path = override.partition("=")
        if key == "data.train" and path and not _LIST.search(path):
            refuse_missing_data([path], option="--set data.train")


def refuse_missing_file(path: str | Path | None, *, option: str, form: str) -> None:
    """Refuse a file that is not there; None passes.

    Args:
        option: which one names it.
        form: what belongs into it.
    Raises:
        ConfigError: no such file.
    """
    if path is not None and not os.path.isfile(path):
        what = "is a folder" if os.path.isdir(path) else "does not exist"
        raise ConfigError(f"{option} {path} {what}; give {form}")


def refuse_unknown_templates(source: str | None) -> None:
    """Refuse prompts that are neither a known set, nor a file, nor a prompt.

    Raises:
        ConfigError: they are none of these.
    """
    from data_pipelines.prompts import TEMPLATE_SETS

    if source is None or "{c}" in source or source in TEMPLATE_SETS or os.path.isfile(source):
        return
    raise ConfigError(
        f"unknown template set '{source}', and no such file; known sets: "
        f"{', '.join(sorted(TEMPLATE_SETS))}, or give a file with one template a line"
    )


def refuse_missing_models(*names: str | None) -> None:
    """Refuse names of models that stand for nothing; None passes.

    Raises:
        ModelError, UnknownNameError: see ``vlsuite.models.name_check``.
    """
    from eval import opening  # noqa: F401  (makes kinds of models known that only answer)
    from vlsuite.models.name_check import refuse_missing_model

    for name in names:
        if name is not None:
            refuse_missing_model(name)
