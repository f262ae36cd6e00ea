"""Folders that work begins in, and that go again where nothing came of it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


@contextmanager
def no_empty_folders(*folders: Path) -> Iterator[None]:
    """Where the block fails, the folders that it made and left empty are removed.

    Args:
        folders: that it writes to; those above them that are missing count too.
    """
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(_no_empty_folders(folder))
        yield


@contextmanager
def _no_empty_folders(folder: Path) -> Iterator[None]:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    known = set(_folders_in(folder))
    try:
        yield
    except BaseException:
        for inner in _folders_in(folder):
            if inner not in known:
                _remove_empty(inner)
        for path in missing:  # the innermost is the first
            with suppress(OSError):  # not empty
                path.rmdir()
        raise


def _remove_empty(folder: Path) -> None:
    for inner in _folders_in(folder):
        _remove_empty(inner)
    with suppress(OSError):
        folder.rmdir()


def _folders_in(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    return []
