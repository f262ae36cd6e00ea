"""The life of an output folder: filled beside its place, complete, and only then put there.

A set is written into a hidden folder beside the one asked for. When it is complete it takes that
place; a set of ours that was there goes only then, file by file as its manifest lists them, and
comes back if that breaks off. Files of others stay, and where one of them is in the way nothing is
touched. A build holds a lock that names its owner: a second one of the same folder is refused.
"""

import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_pipelines.bounded_json import read_json
from data_pipelines.errors import DataError
from data_pipelines.shards.atomic import TEMPORARY_SUFFIX, make_folder, write_file
from data_pipelines.shards.file_lock import open_lock, release, try_lock
from data_pipelines.shards.manifest import MANIFEST_NAME, Manifest

#: In a folder that is being filled, or replaced (then it lists the old and the new files).
MARKER_NAME = ".vlsuite-unfinished"

#: Ends of the names of a folder that is filled, of an old set set aside, of the owner's lock.
BUILD_SUFFIX, _OLD_SUFFIX, _LOCK_SUFFIX = ".vlsuite-build", ".vlsuite-old", ".vlsuite-lock"

#: Line i is the name of label i.
CLASS_NAMES_FILE = "classnames.txt"

#: Text files that the splits of an evaluation folder share; they go with its last split.
BENCHMARK_ROOT_FILES = (
    CLASS_NAMES_FILE,
    "zeroshot_classification_templates.txt",
    "dataset_type.txt",
    "shift_of.txt",
)


def unfinished_place(folder: Path) -> Path:
    """Where the set of ``folder`` is written until it is complete."""
    return _beside(folder, BUILD_SUFFIX)


@contextmanager
def building(folder: Path, *, overwrite: bool = False, plan: str = "") -> Iterator[Path]:
    """Yield a folder to fill, manifest included; it takes the place of ``folder`` at the end.

    Where the block fails, what it wrote is removed and ``folder`` is as it was.

    Args:
        overwrite: whether a set of ours that is there may be replaced.
        plan: what is written, in one word. What an interrupted build of the same plan wrote is then
            there again, and stays for the next one where the block fails; the caller knows which
            of it is whole.
    Raises:
        DataError: another build of this folder is running; it holds a finished set, or files that
            no build of ours wrote; or it cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    with owned(folder):
        if (folder / MARKER_NAME).exists():
            _put_back(folder)
        check_place(folder, overwrite=overwrite)
        place = unfinished_place(folder)
        if not plan or _plan_of(place) != plan:
            shutil.rmtree(place, ignore_errors=True)
        make_folder(place)
        write_file(place / MARKER_NAME, (json.dumps({"plan": plan}) + "\n").encode())
        is_kept = bool(plan)
        try:
            yield place
            (place / MARKER_NAME).unlink(missing_ok=True)
            is_kept = False
            _put_in_place(place, folder)
        except OSError as error:
            raise DataError(
                f"cannot write {folder}: {error.strerror or error}; free space, mend permissions "
                "or choose another --out"
            ) from error
        finally:
            if not is_kept:
                shutil.rmtree(place, ignore_errors=True)


def _plan_of(place: Path) -> str:
    """Of the build that was interrupted there; empty where there is none, or none that says so."""
    try:
        return str(read_json(place / MARKER_NAME)["plan"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def check_place(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that must not be written.

    Raises:
        DataError: see ``building``.
    """
    names = _names_in(folder)
    if MANIFEST_NAME in names and not overwrite:
        raise DataError(
            f"{folder} already holds a finished data set; choose another --out or add --overwrite"
        )
    if MANIFEST_NAME in names:
        files_of(folder)  # what cannot be read is said now
    elif any(not _is_left_over(name) for name in names):
        advice = ", so --overwrite leaves it alone" if overwrite else ""
        raise DataError(
            f"{folder} is not empty and was not written by vlsuite{advice}; choose another --out"
        )


def files_of(folder: Path) -> set[Path]:
    """All files of the set of ours in ``folder``, as its manifests list them.

    Raises:
        ShardError: a manifest cannot be read, or names files outside its folder.
    """
    if not (folder / MANIFEST_NAME).is_file():
        return set()
    manifest = Manifest.load(folder)
    listed = [folder / entry.name for entry in (*manifest.shards, *manifest.files)]
    found = {folder / MANIFEST_NAME, folder / MARKER_NAME}
    for path in listed:
        found |= {path, path.with_name(f"{path.name}.index.npz")}
    for below in {path.parent for path in listed} - {folder}:
        if (below / MANIFEST_NAME).is_file():
            found |= files_of(below)
        if below.parent != folder:
            found |= {below.parent / name for name in BENCHMARK_ROOT_FILES}
    return found


def _put_in_place(place: Path, folder: Path) -> None:
    """Old files aside, new ones in; every check comes before the first change."""
    assert (place / MANIFEST_NAME).is_file(), "a build ends with its manifest"
    new = [path.relative_to(place) for path in place.rglob("*") if not path.is_dir()]
    old = [path.relative_to(folder) for path in files_of(folder) if path.is_file()]
    foreign = [name for name in sorted(new) if (folder / name).exists() and name not in old]
    if foreign:
        raise DataError(
            f"{folder / foreign[0]} is in the way and was not written by vlsuite; nothing was "
            "changed; move it away, or choose another --out"
        )
    if not _names_in(folder) and place.parent != folder:
        with suppress(FileNotFoundError):
            folder.rmdir()
        place.rename(folder)
        return
    listed = {"old": sorted(map(str, old)), "new": sorted(map(str, new))}
    write_file(folder / MARKER_NAME, (json.dumps(listed) + "\n").encode())
    aside = _beside(folder, _OLD_SUFFIX)
    try:
        # the manifest goes first and comes last: what an interruption leaves must not look complete
        for name in sorted(old, key=lambda name: str(name) != MANIFEST_NAME):
            _move(folder / name, aside / name)
        for name in sorted(new, key=lambda name: str(name) == MANIFEST_NAME):
            _move(place / name, folder / name)
    except BaseException:
        _put_back(folder)
        raise
    _remove_empty(folder, old)
    (folder / MARKER_NAME).unlink(missing_ok=True)
    shutil.rmtree(aside, ignore_errors=True)


def _put_back(folder: Path) -> None:
    """Undo a replacement that broke off: new files go, old ones come back."""
    listed = _marked(folder)
    for name in listed["new"]:
        if name not in listed["old"]:
            (folder / name).unlink(missing_ok=True)
    aside = _beside(folder, _OLD_SUFFIX)
    for path in sorted(aside.rglob("*"), key=lambda path: path.name == MANIFEST_NAME):
        if not path.is_dir():
            _move(path, folder / path.relative_to(aside))
    _remove_empty(folder, map(Path, listed["new"]))
    shutil.rmtree(aside, ignore_errors=True)
    (folder / MARKER_NAME).unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def _remove_empty(folder: Path, names: Iterable[Path]) -> None:
    """Remove the folders that these files left empty."""
    below = {parent for name in names for parent in _folders_between(folder, folder / name)}
    for path in sorted(below, reverse=True):
        with suppress(OSError):  # not empty: someone else's files
            path.rmdir()


def _folders_between(folder: Path, path: Path) -> list[Path]:
    return [parent for parent in path.parents if parent != folder and folder in parent.parents]


def _marked(folder: Path) -> dict[str, list[str]]:
    """The files that a replacement is about, by relative name: "old" ones and "new" ones.

    Raises:
        DataError: an earlier version left the marker, which did not say what is its own.
    """
    try:
        stored = read_json(folder / MARKER_NAME)
        listed = {kind: [str(name) for name in stored[kind]] for kind in ("old", "new")}
    except (OSError, ValueError, TypeError, KeyError):
        raise DataError(
            f"{folder} holds part of a build by an earlier version of vlsuite; delete the folder, "
            "or choose another --out"
        ) from None
    names = map(Path, (*listed["old"], *listed["new"]))
    if any(".." in name.parts or name.is_absolute() for name in names):
        raise DataError(f"{folder / MARKER_NAME} names files outside its folder; delete the folder")
    return listed


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Hold the lock of an output folder, which lies beside it.

    Raises:
        DataError: another process holds it; the message names it. Or it cannot be made.
    """
    path = _beside(folder, _LOCK_SUFFIX)
    make_folder(path.parent)
    try:
        descriptor = open_lock(path)
    except OSError as error:
        raise DataError(
            f"cannot use {folder} as output folder: {error.strerror}; choose another --out"
        ) from error
    if not try_lock(descriptor) or not _is_at(path, descriptor):
        owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
        os.close(descriptor)
        raise DataError(
            f"{folder} is being written by {owner}; wait for it, or choose another --out"
        )
    with suppress(OSError):  # a full disk: what is written next says so
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        release(descriptor)


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the file that was opened is still the one of that name."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _beside(folder: Path, suffix: str) -> Path:
    """A hidden neighbour on the same disk; inside where the folder is the top of a disk."""
    is_top = folder.is_dir() and folder.stat().st_dev != folder.parent.stat().st_dev
    is_alone = folder.is_dir() and not os.access(folder.parent, os.W_OK)
    return folder / suffix if is_top or is_alone else folder.with_name(f".{folder.name}{suffix}")


def _is_left_over(name: str) -> bool:
    return name.endswith((TEMPORARY_SUFFIX, BUILD_SUFFIX, _OLD_SUFFIX, _LOCK_SUFFIX))


def _names_in(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(
            f"cannot use {folder} as output folder: {error.strerror}; choose another --out"
        ) from error
