"""Write, read back, compare, and only then give the folder its name."""

import shutil
from fnmatch import fnmatch
from pathlib import Path

from vlsuite.errors import RunFolderError
from vlsuite.export.form import Exported, Form


def export_verified(exported: Exported, form: Form, out: Path) -> list[str]:
    """Export a model into a new folder; returns what the comparison found, line by line.

    Raises:
        ModelError: the form cannot express the model, or gives another one back.
        RunFolderError: the folder cannot be written.
    """
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        form.write(unfinished, exported)
        lines = form.verify(unfinished, exported)
        _take_name(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return lines


def check_free(out: Path, form: Form, *, overwrite: bool) -> None:
    """Refuse to write over anything but an export of this form.

    Raises:
        RunFolderError: the folder is in use.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise RunFolderError(f"{out} is a file; choose another folder with --out")
    entries = sorted(path.name for path in out.iterdir())
    foreign = [name for name in entries if not any(fnmatch(name, p) for p in form.files)]
    if foreign:
        raise RunFolderError(
            f"{out} holds other files ('{foreign[0]}'); choose another folder with --out"
        )
    if entries and not overwrite:
        raise RunFolderError(
            f"{out} holds an export already; replace it with --overwrite, or choose another "
            f"folder with --out"
        )


def _take_name(unfinished: Path, out: Path) -> None:
    replaced = out.with_name(f".{out.name}.replaced")
    try:
        shutil.rmtree(replaced, ignore_errors=True)
        if out.exists():
            out.rename(replaced)
        unfinished.rename(out)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot write {out}: {error.strerror}; choose another folder with --out"
        ) from error
