"""The life of an output folder: claimed, filled, finished by its manifest, or replaced.

A folder that is being filled carries a marker file; a finished one carries a manifest. A folder
with the marker and no manifest is the rest of an interrupted build, which the next build clears.
Only files that a build of ours wrote are ever removed.
"""

from contextlib import suppress
from pathlib import Path

from data_pipelines.errors import DataError
from data_pipelines.shards.atomic import TEMPORARY_SUFFIX, make_folder, write_file
from data_pipelines.shards.manifest import MANIFEST_NAME, Manifest

MARKER_NAME = ".vlsuite-unfinished"

#: Text files that the splits of an evaluation folder share; they go with its last split.
BENCHMARK_ROOT_FILES = (
    "classnames.txt",
    "zeroshot_classification_templates.txt",
    "dataset_type.txt",
    "shift_of.txt",
)

_MARKER_TEXT = b"A build of this folder is running or was interrupted; run it again to finish.\n"


def start_folder(folder: Path) -> None:
    """Claim ``folder`` for a build, clearing what an interrupted one left.

    Raises:
        DataError: it holds a finished set, or files that no build of ours wrote, or it cannot be
            written.
    """
    names = _names_in(folder)
    if MANIFEST_NAME in names:
        raise DataError(
            f"{folder} already holds a finished data set; choose another --out or add --overwrite"
        )
    if MARKER_NAME in names:
        clear_folder(folder)
    elif any(not name.endswith(TEMPORARY_SUFFIX) for name in names):
        raise DataError(
            f"{folder} is not empty and was not written by vlsuite; choose another --out"
        )
    make_folder(folder)
    write_file(folder / MARKER_NAME, _MARKER_TEXT)


def finish_folder(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, which declares ``folder`` complete, and take the marker away."""
    manifest.save(folder)
    (folder / MARKER_NAME).unlink(missing_ok=True)


def clear_folder(folder: Path) -> None:
    """Remove the finished or interrupted sets of ours in ``folder`` and the folders below it.

    Raises:
        DataError: ``folder`` holds files, none of which a build of ours wrote.
    """
    if not _names_in(folder):
        return
    ours = [*folder.rglob(MANIFEST_NAME), *folder.rglob(MARKER_NAME)]
    if not ours:
        raise DataError(
            f"{folder} was not written by vlsuite, so --overwrite leaves it alone; "
            "choose another --out"
        )
    try:
        for found in sorted(ours, key=lambda path: len(path.parts), reverse=True):
            _clear_one(found)
        _remove_empty_folders(folder)
    except OSError as error:
        raise DataError(f"cannot clear {folder}: {error.strerror}; mend permissions") from error


def _clear_one(found: Path) -> None:
    """Remove the set that a manifest or a marker belongs to."""
    folder = found.parent
    if found.name == MANIFEST_NAME:
        manifest = Manifest.load(folder)
        # The manifest goes first: what an interruption leaves must not look complete.
        write_file(folder / MARKER_NAME, _MARKER_TEXT)
        found.unlink()
        for entry in (*manifest.shards, *manifest.files):  # names that load() found harmless
            (folder / entry.name).unlink(missing_ok=True)
            (folder / f"{entry.name}.index.npz").unlink(missing_ok=True)
    _clear_shards(folder)
    (folder / MARKER_NAME).unlink(missing_ok=True)
    if not any(folder.parent.glob(f"*/{MANIFEST_NAME}")):
        for name in BENCHMARK_ROOT_FILES:
            (folder.parent / name).unlink(missing_ok=True)


def _remove_empty_folders(folder: Path) -> None:
    below = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for path in below:
        with suppress(OSError):  # not empty: someone else's files
            path.rmdir()


def _clear_shards(folder: Path) -> None:
    texts = ("nshards.txt", "noise_truth.tsv")
    patterns = ("*.tar", "*.tar.index.npz", *texts, f".*{TEMPORARY_SUFFIX}")
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink()


def _names_in(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(
            f"cannot use {folder} as output folder: {error.strerror}; choose another --out"
        ) from error
