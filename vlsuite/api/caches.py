"""What vlsuite keeps in the user's cache folder: listed, and taken away again.

Everything there can be made again at some cost: time, downloads, or, of answers of endpoints,
money. The folder is ``$XDG_CACHE_HOME/vlsuite``, else ``~/.cache/vlsuite``.
"""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from data_pipelines.shards.file_lock import open_lock, release, try_lock
from data_pipelines.shards.sidecar import cache_folder
from vlsuite.errors import ConfigError, DataError

#: What each folder holds, by its name.
KINDS = {
    "answers": "paid answers of model endpoints",
    "embeddings": "pictures and prompts as models embed them (vlsuite eval)",
    "index": "where the samples of shards are",
    "kernels": "compiled kernels",
    "names": "names of things as detectors embed them (vlsuite detect)",
    "peers": "environments of the benchmarks' peers",
    "search": "indexes of stored embeddings (vlsuite search)",
    "sets": "how many samples sets of shards have",
    "shards": "copies of remote shards",
    "uids": "uids of remote and large shards",
}
#: Of another name: not ours, or of another version.
OTHER = "unknown to this version"
#: Taken away only when they are named: money cannot be had again by waiting.
COSTLY = frozenset({"answers"})

_LOCKS = (".lock",)


class Entry(NamedTuple):
    """A file or folder that goes as a whole.

    Attributes:
        kind: name of the folder it lies in.
        bytes_: on disk, of all its files together; a file of several names (hard links) counts
            once, with the first entry that has it.
        last_used: seconds since the epoch; when anything in it was written, or read where the file
            system keeps note of that.
    """

    kind: str
    path: Path
    bytes_: int
    last_used: float


class Cache(NamedTuple):
    """All entries of a kind."""

    kind: str
    about: str
    folder: Path
    entries: tuple[Entry, ...]

    @property
    def bytes_(self) -> int:
        """Of all its entries."""
        return sum(entry.bytes_ for entry in self.entries)

    @property
    def last_used(self) -> float | None:
        """The newest use; None where there is no entry."""
        return max((entry.last_used for entry in self.entries), default=None)


class Pruned(NamedTuple):
    """What was taken away, or would be.

    Attributes:
        in_use: entries that another command is writing, which stay.
    """

    entries: tuple[Entry, ...]
    in_use: tuple[Entry, ...]


def caches(
    folder: Path | None = None, *, advance: Callable[[], object] = lambda: None
) -> list[Cache]:
    """What is kept, by kind; kinds without anything are left out.

    Args:
        folder: the cache folder; None takes the user's.
        advance: called with each file that is counted.
    Raises:
        DataError: the folder cannot be read.
    """
    root = folder or cache_folder()
    found: list[Cache] = []
    counter = _Counter(advance)
    try:
        places = sorted(root.iterdir()) if root.is_dir() else []
        for place in places:
            about = KINDS.get(place.name, OTHER)
            paths = _entries(place) if place.is_dir() else [place]
            entries = tuple(counter.entry(place.name, path) for path in paths)
            if entries:
                found.append(Cache(place.name, about, place, entries))
    except OSError as error:
        where = error.filename or root
        raise DataError(f"cannot read the cache {where}: {error.strerror or error}") from error
    return found


def prune(
    kinds: Sequence[str] = (),
    *,
    older_than: float | None = None,
    most_bytes: int | None = None,
    dry_run: bool = False,
    folder: Path | None = None,
    advance: Callable[[], object] = lambda: None,
) -> Pruned:
    """Take entries away, the least recently used first.

    Args:
        kinds: of which to take; none for all but the costly ones and those of unknown names.
        older_than: seconds; what was used since stays.
        most_bytes: as soon as no more than this is left of these kinds, the rest stays.
        dry_run: only say what would go.
        folder: the cache folder; None takes the user's.
        advance: see ``caches``.
    Raises:
        ConfigError: a kind that is not there.
        DataError: something cannot be removed.
    """
    there = caches(folder, advance=advance)
    chosen = chosen_caches(there, kinds or sorted(KINDS.keys() - COSTLY))
    entries = sorted((e for c in chosen for e in c.entries), key=lambda entry: entry.last_used)
    before, left = time.time() - (older_than or 0.0), sum(entry.bytes_ for entry in entries)
    gone: list[Entry] = []
    in_use: list[Entry] = []
    for entry in entries:
        if (most_bytes is not None and left <= most_bytes) or entry.last_used > before:
            break
        if _is_held(entry.path):
            in_use.append(entry)
            continue
        if not dry_run:
            _remove(entry.path)
        gone.append(entry)
        left -= entry.bytes_
    return Pruned(tuple(gone), tuple(in_use))


def chosen_caches(found: Sequence[Cache], kinds: Sequence[str]) -> list[Cache]:
    """Those of the kinds; all where none is named.

    Raises:
        ConfigError: a kind that neither is there nor is known.
    """
    there = [cache.kind for cache in found]
    if unknown := [kind for kind in kinds if kind not in there and kind not in KINDS]:
        raise ConfigError(
            f"no cache '{unknown[0]}'; those there: {', '.join(there) or 'none'} ('vlsuite cache')"
        )
    return [cache for cache in found if not kinds or cache.kind in kinds]


def _entries(place: Path) -> Iterator[Path]:
    """What can go by itself. Copies of shards lie one level lower, beside their locks."""
    for path in sorted(place.iterdir()):
        if place.name == "shards" and path.is_dir() and not path.is_symlink():
            yield from (p for p in sorted(path.iterdir()) if not p.name.startswith(_LOCKS))
        elif not path.name.startswith(_LOCKS):
            yield path


class _Counter:
    """Sizes of entries; symbolic links are counted themselves, never followed."""

    def __init__(self, advance: Callable[[], object]) -> None:
        self._advance = advance
        self._linked: set[tuple[int, int]] = set()

    def entry(self, kind: str, path: Path) -> Entry:
        size, used = 0, 0.0
        for is_top, status in _statuses(path):
            self._advance()
            is_folder = stat.S_ISDIR(status.st_mode)
            if is_folder or self._is_new(status):
                size += status.st_blocks * 512
            if not is_folder or is_top:
                is_file = stat.S_ISREG(status.st_mode)
                used = max(used, status.st_mtime, status.st_atime if is_file else 0.0)
        return Entry(kind, path, size, used)

    def _is_new(self, status: os.stat_result) -> bool:
        """Whether this file was not counted by another of its names."""
        if status.st_nlink == 1:
            return True
        name = (status.st_dev, status.st_ino)
        is_new = name not in self._linked
        self._linked.add(name)
        return is_new


def _statuses(path: Path) -> Iterator[tuple[bool, os.stat_result]]:
    """Of a path, marked as the top, and of all below; what vanishes meanwhile is passed over."""
    with suppress(FileNotFoundError):
        top = os.lstat(path)
        yield True, top
        folders = [os.fspath(path)] if stat.S_ISDIR(top.st_mode) else []
        while folders:
            with suppress(FileNotFoundError), os.scandir(folders.pop()) as found:
                for one in found:
                    if one.is_dir(follow_symlinks=False):
                        folders.append(one.path)
                    with suppress(FileNotFoundError):
                        yield False, one.stat(follow_symlinks=False)


def _is_held(path: Path) -> bool:
    """Whether another command holds a lock inside, as one that computes embeddings does."""
    tops = (top for top, _, files in os.walk(path) if ".lock" in files)
    for top in () if path.is_symlink() else tops:
        try:
            descriptor = open_lock(Path(top, ".lock"))
        except OSError:
            continue
        if not try_lock(descriptor):
            os.close(descriptor)
            return True
        release(descriptor)
    return False


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot remove {path}: {error.strerror or error}; mend its permissions"
        ) from error
