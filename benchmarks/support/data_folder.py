"""Where a benchmark's data lies: what an option names, or the folder that a variable names."""

import os
from pathlib import Path

from benchmarks.support.timed_process import BenchmarkError

#: Environment variable with a folder of shards.
VARIABLE = "VLSUITE_BENCH_DATA"


def folder_with(given: Path | None, *patterns: str, option: str = "--data FOLDER") -> Path:
    """The folder that was given, else the variable's; every pattern matches a file in it.

    Args:
        given: what the option said; None where it was left out.
        patterns: names of files, ``cifar10-train-*.tar``.
        option: as messages name it.
    Returns:
        An absolute path.
    Raises:
        BenchmarkError: neither is given, or a file is missing.
    """
    folder = given or _named_by_variable()
    if folder is None:
        raise BenchmarkError(
            f"needs {_listed(patterns)}; name the folder with {option} or in {VARIABLE}"
        )
    missing = [pattern for pattern in patterns if not any(folder.glob(pattern))]
    if missing:
        raise BenchmarkError(
            f"no {_listed(missing)} in {folder}; name the folder with {option} or in {VARIABLE}"
        )
    return folder.resolve()


def file_named(given: Path | None, name: str, *, option: str) -> Path:
    """The file that was given, else ``name`` in the variable's folder.

    Args:
        given: what the option said; None where it was left out.
        name: of the file in the variable's folder.
        option: as messages name it.
    Raises:
        BenchmarkError: there is no such file, or neither is given.
    """
    path = file_if_there(given, name, option=option)
    if path is None:
        folder = _named_by_variable()
        where = "" if folder is None else f", which {folder} lacks"
        raise BenchmarkError(
            f"needs {name}{where}; name it with {option} or its folder in {VARIABLE}"
        )
    return path


def file_if_there(given: Path | None, name: str, *, option: str) -> Path | None:
    """As :func:`file_named`, but None where the variable's folder has no such file.

    Raises:
        BenchmarkError: the option names no file.
    """
    if given is not None:
        if not given.is_file():
            raise BenchmarkError(f"no file {given}; name another with {option}")
        return given
    folder = _named_by_variable()
    path = None if folder is None else folder / name
    return path if path is not None and path.is_file() else None


def _named_by_variable() -> Path | None:
    return Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None


def _listed(patterns: tuple[str, ...] | list[str]) -> str:
    return " and ".join(filter(None, (", ".join(patterns[:-1]), patterns[-1])))
