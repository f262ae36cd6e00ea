"""Exported files appear whole or not at all, readable by whoever the umask allows."""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from data_pipelines.printable import json_text, printable
from vlsuite.errors import RunFolderError
from vlsuite.export.shown_paths import short_paths


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to; it takes the name ``path`` when the block ends without error.

    Raises:
        RunFolderError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = stat.S_IMODE(temporary.stat().st_mode)
        yield temporary
        temporary.chmod(mode)  # safetensors makes its files readable by the owner alone
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunFolderError(
            f"cannot write {path}: {reason}; free space, mend permissions, or choose another "
            f"folder with --out"
        ) from error
    finally:
        _remove(temporary)


def write_text(path: Path, text: str) -> None:
    """Write a small text file in UTF-8.

    Raises:
        RunFolderError: see :func:`replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and programs.

    Raises:
        RunFolderError: see :func:`replacing`.
    """
    write_text(path, json_text(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")


def write_card(path: Path, text: str) -> None:
    """Write a text for people, ``printable``, with absolute paths shortened.

    Raises:
        RunFolderError: see :func:`replacing`.
    """
    write_text(path, printable(short_paths(text)))


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors by name as safetensors, in the layout that transformers also reads.

    Args:
        weights: on any device; views of one storage are stored apart.
    Raises:
        RunFolderError: see :func:`replacing`.
    """
    apart = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    seen: set[int] = set()
    for name, value in apart.items():
        if value.untyped_storage().data_ptr() in seen:
            apart[name] = value.clone()
        seen.add(value.untyped_storage().data_ptr())
    with replacing(path) as temporary:
        save_file(apart, temporary, metadata={"format": "pt"})


def _remove(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        return  # the folder is gone or locked; the error on its way out says so
