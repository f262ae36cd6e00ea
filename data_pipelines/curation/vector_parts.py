"""Vectors beside a table: one row for every sample, a file for every shard, mapped into memory.

``vectors/NAME/SHARD.npy`` in the folder of the table is a plain NumPy array of fp16, rows in the
order of the shard, unit vectors, NaN where a sample has none. ``SHARD.json``, written after it,
tells what it depends on (content of the shard, fingerprint of the model) and its SHA-256;
``vectors.json``, written last, names all of them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int64

from data_pipelines.bounded_json import read_json
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder, replacing, write_file

#: Folder of the vectors inside that of the table; each column has a folder of its name.
VECTORS, VECTORS_NAME = "vectors", "vectors.json"

#: Raised when the meaning of a file changes; older ones are then made anew.
VECTORS_VERSION = 1

_OPEN_PARTS = 64  # mapped at a time
_ROW_BITS = 32
_ROW = (1 << _ROW_BITS) - 1


def write_vector_part(
    path: Path, vectors: Float16[np.ndarray, "rows dim"], note: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """Write the vectors of all rows of a shard, and then their note.

    Args:
        path: ends in ".npy"; the note stands beside it and ends in ".json".
        vectors: unit vectors, NaN where a sample has none.
        note: what they depend on; its ``content`` names the shard's.
    Returns:
        The note as it is stored.
    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    make_folder(path.parent)
    note_path(path).unlink(missing_ok=True)
    with replacing(path) as file:
        np.lib.format.write_array(_Stream(file.write), np.ascontiguousarray(vectors))
    stored = {
        "format_version": VECTORS_VERSION,
        **note,
        "rows": len(vectors),
        "dim": vectors.shape[1],
        "bytes": file.size,
        "sha256": file.sha256,
    }
    write_file(note_path(path), f"{json.dumps(stored, sort_keys=True, indent=1)}\n".encode())
    return stored


def note_path(path: Path) -> Path:
    """Where the note of a file of vectors is."""
    return path.with_suffix(".json")


def vector_note(path: Path) -> dict[str, Any] | None:
    """The note of a file of vectors; None where there is none, or the file is not what it says."""
    try:
        note = read_json(note_path(path))
        is_whole = path.stat().st_size == note["bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return note if is_whole and note.get("format_version") == VECTORS_VERSION else None


class VectorColumn:
    """The vectors of all samples of a table.

    Args:
        name: of the column.
        paths: in the order of the shards.
        notes: of the paths.
    """

    def __init__(
        self, name: str, paths: Sequence[Path], notes: Sequence[Mapping[str, Any]]
    ) -> None:
        self.name = name
        self.dim: int = notes[0]["dim"]
        self.model: str = notes[0]["model"]
        self.of: str = notes[0]["of"]
        self._paths = tuple(paths)
        self._rows = tuple(note["rows"] for note in notes)
        self._opened = lru_cache(maxsize=_OPEN_PARTS)(self._open)
        if len({(note["dim"], note["model"], note["of"]) for note in notes}) > 1:
            raise DataError(
                f"the vectors '{name}' are of several models; run 'vlsuite curate embed' again"
            )

    def at(self, ids: Int64[np.ndarray, " ids"]) -> Float32[np.ndarray, "ids dim"]:
        """The vectors of samples, of unit length in fp32; NaN where a sample has none.

        Args:
            ids: as in ``StageInput.relation``: number of the shard in the upper half, row in the
                lower.
        """
        found = self.stored(ids).astype(np.float32)
        with np.errstate(invalid="ignore"):
            found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found

    def stored(self, ids: Int64[np.ndarray, " ids"]) -> Float16[np.ndarray, "ids dim"]:
        """The vectors as they are stored; see ``at``."""
        found = np.empty((len(ids), self.dim), dtype=np.float16)
        for shard, places in _by_shard(ids):
            found[places] = self._opened(shard)[ids[places] & _ROW]
        return found

    def has(self, ids: Int64[np.ndarray, " ids"]) -> Bool[np.ndarray, " ids"]:
        """Which samples have a vector."""
        found = np.empty(len(ids), dtype=np.bool_)
        for shard, places in _by_shard(ids):
            found[places] = ~np.isnan(self._opened(shard)[ids[places] & _ROW, 0])
        return found

    def all_ids(self) -> Int64[np.ndarray, " rows"]:
        """Of all samples, in their order."""
        return np.concatenate(
            [
                (np.int64(number) << _ROW_BITS) + np.arange(rows, dtype=np.int64)
                for number, rows in enumerate(self._rows)
            ]
        )

    def _open(self, shard: int) -> np.ndarray:
        path = self._paths[shard]
        try:
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(
                f"cannot read {path}: {error}; run 'vlsuite curate embed' again"
            ) from error
        if vectors.shape != (self._rows[shard], self.dim):
            raise DataError(
                f"{path} has the shape {vectors.shape}, not {(self._rows[shard], self.dim)}; "
                "run 'vlsuite curate embed' again"
            )
        return vectors


def _by_shard(ids: Int64[np.ndarray, " ids"]) -> Iterator[tuple[int, np.ndarray]]:
    """Numbers of the shards, and where among the ids theirs are."""
    shards = ids >> _ROW_BITS
    order = np.argsort(shards, kind="stable")
    starts = np.flatnonzero(np.diff(shards[order], prepend=-1))
    for places in np.split(order, starts[1:]) if len(ids) else ():
        yield int(shards[places[0]]), places


class _Stream:
    """What NumPy takes for a file to write to."""

    def __init__(self, write: Any) -> None:
        self.write = write
