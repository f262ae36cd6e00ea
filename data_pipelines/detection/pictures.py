"""The pictures of an annotation file, found by name in folders and in tars."""

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol, runtime_checkable

from data_pipelines.bounded_files import media_bytes
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.shards.index import ShardIndex

_ENDINGS = frozenset(FORMAT_OF_SUFFIX)


@runtime_checkable
class Pictures(Protocol):
    """Encoded pictures by the names that an annotation file has for them."""

    @property
    def places(self) -> tuple[str, ...]:
        """All there are, in a fixed order."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """Damage that was found, one line each."""
        ...

    def find(self, names: Sequence[str]) -> str | None:
        """Where the picture of the first of these names that is there lies; None for none."""
        ...

    def read(self, place: str) -> bytes:
        """The bytes at a place that ``find`` told.

        Raises:
            BadSampleError: they cannot be read.
        """
        ...


def open_pictures(path: Path) -> Pictures:
    """The pictures in a folder and below it, or in a tar; of a folder without pictures, its tars.

    Raises:
        DataError: there is nothing there.
    """
    if path.is_file():
        return TarPictures([path])
    if not path.is_dir():
        raise DataError(f"pictures {path}: no such folder or tar; check the path")
    files = FolderPictures(path)
    if not files.places:
        tars = sorted(path.glob("*.tar"))
        if not tars:
            raise DataError(
                f"folder {path} holds no picture and no tar of pictures; put them there (a zip or "
                "tar.gz has to be unpacked first)"
            )
        return TarPictures(tars)
    return files


class FolderPictures:
    """Pictures below a folder, by path or by file name.

    Args:
        folder: looked through once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = _Names()
        for parent, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                if name.rpartition(".")[2].lower() in _ENDINGS:
                    self._names.add(Path(parent, name).relative_to(folder).as_posix())

    @property
    def places(self) -> tuple[str, ...]:
        """All pictures, by path."""
        return self._names.paths

    @property
    def problems(self) -> tuple[str, ...]:
        """None: what is wrong with a file shows when it is read."""
        return ()

    def find(self, names: Sequence[str]) -> str | None:
        """See ``Pictures``."""
        return self._names.find(names)

    def read(self, place: str) -> bytes:
        """See ``Pictures``."""
        try:
            return media_bytes(self._folder / place)
        except OSError as error:
            raise BadSampleError("unreadable picture", f"{place}: {error.strerror}") from error


class TarPictures:
    """Pictures in tars, whose members may have any names and order.

    Args:
        paths: of the tars.
    Raises:
        ShardError: one of them is no uncompressed tar.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._indexes = [ShardIndex.open(path) for path in paths]
        self._names = _Names()
        self._places: dict[str, tuple[int, int, str]] = {}
        for tar, index in enumerate(self._indexes):
            for number in range(len(index)):
                for suffix in index.suffixes(number):
                    if suffix.rpartition(".")[2] in _ENDINGS:
                        name = f"{index.key(number)}.{suffix}"
                        self._names.add(name)
                        self._places.setdefault(name, (tar, number, suffix))

    @property
    def places(self) -> tuple[str, ...]:
        """All pictures, in the order of the tars; of equal names the first."""
        return tuple(self._places)

    @property
    def problems(self) -> tuple[str, ...]:
        """See ``Pictures``: tars that end early, or have damage in them."""
        return problems_of(self._indexes)

    def find(self, names: Sequence[str]) -> str | None:
        """See ``Pictures``."""
        return self._names.find(names)

    def read(self, place: str) -> bytes:
        """See ``Pictures``."""
        tar, number, suffix = self._places[place]
        return self._indexes[tar].read(number)[suffix]


def problems_of(indexes: Sequence[ShardIndex]) -> tuple[str, ...]:
    """Damage in tars, with their names."""
    return tuple(f"{one.path.name}: {problem}" for one in indexes for problem in one.problems)


class _Names:
    """Paths, found by the whole path or by its last part; endings in any case."""

    def __init__(self) -> None:
        self._by_path: dict[str, str] = {}
        self._by_name: dict[str, list[str]] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        """All that were added, in order."""
        return tuple(self._by_path.values())

    def add(self, path: str) -> None:
        name = _comparable(path)
        self._by_path.setdefault(name, path)
        self._by_name.setdefault(PurePosixPath(name).name, []).append(path)

    def find(self, names: Sequence[str]) -> str | None:
        """A last part that several paths share finds none: it could be another's picture."""
        for name in names:
            found = self._by_path.get(_comparable(name))
            if found is not None:
                return found
        for name in names:
            paths = self._by_name.get(PurePosixPath(_comparable(name)).name, [])
            if len(paths) == 1:
                return paths[0]
        return None


def _comparable(name: str) -> str:
    """A path as both sides have it: what follows the first dot of the file name in lower case."""
    parent, slash, file_name = name.removeprefix("./").rpartition("/")
    stem, dot, ending = file_name.partition(".")
    return f"{parent}{slash}{stem}{dot}{ending.lower()}"
