"""How the embeddings of a part lie in files: arrays with a table of rows, Parquet, clip-retrieval.

``npy``: ``images/00000.npy``, ``texts/00000.npy`` and ``rows/00000.parquet`` (uid, path, caption,
row). ``parquet``: all of it in ``embeddings/00000.parquet``, vectors as lists of one length.
``clip-retrieval``: ``img_emb/img_emb_0.npy``, ``text_emb/text_emb_0.npy`` and
``metadata/metadata_0.parquet`` with ``image_path`` and ``caption``, as that project's ``inference``
names them (rom1504/clip-retrieval, clip_inference/writer.py); its indexing reads them.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from data_pipelines.curation.parts import write_part
from data_pipelines.embeddings.item import IMAGES, TEXTS, Item
from data_pipelines.errors import DataError
from data_pipelines.shards.atomic import make_folder, write_file

#: Vectors of a part by kind (``IMAGES``, ``TEXTS``), one row for each stored item.
Vectors = Mapping[str, np.ndarray]

_ROWS = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("caption", pa.string()),
        pa.field("row", pa.int64(), nullable=False),
    ]
)
_DTYPES = {np.dtype(np.float16): pa.float16(), np.dtype(np.float32): pa.float32()}


@runtime_checkable
class Layout(Protocol):
    """Writes and reads the files of one part; paths are from the folder of embeddings."""

    def write(
        self, folder: Path, number: int, count: int, items: Sequence[Item], vectors: Vectors
    ) -> list[str]:
        """Write all files of part ``number`` of ``count``; returns their paths.

        Raises:
            DataError: the folder cannot be written or the disk is full.
        """
        ...

    def vectors(self, folder: Path, number: int, count: int, kind: str) -> np.ndarray:
        """The vectors of a part, mapped where the form allows it.

        Raises:
            DataError: they are missing or damaged.
        """
        ...

    def rows(self, folder: Path, number: int, count: int) -> pa.Table:
        """Columns uid, path, caption and row of a part.

        Raises:
            DataError: they are missing or damaged.
        """
        ...


class NpyLayout:
    """Arrays in folders of their kind, and a table of rows."""

    def _array(self, number: int, count: int, kind: str) -> str:
        return f"{kind}/{number:05d}.npy"

    def _table(self, number: int, count: int) -> str:
        return f"rows/{number:05d}.parquet"

    def _path_column(self) -> str:
        return "path"

    def write(
        self, folder: Path, number: int, count: int, items: Sequence[Item], vectors: Vectors
    ) -> list[str]:
        """See ``Layout``."""
        names = []
        for kind, array in vectors.items():
            names.append(self._array(number, count, kind))
            make_folder((folder / names[-1]).parent)
            write_file(folder / names[-1], npy_bytes(array))
        names.append(self._table(number, count))
        make_folder((folder / names[-1]).parent)
        table = _rows_of(items).rename_columns(["uid", self._path_column(), "caption", "row"])
        write_part(folder / names[-1], table.schema, table.to_batches(), {})
        return names

    def vectors(self, folder: Path, number: int, count: int, kind: str) -> np.ndarray:
        """See ``Layout``."""
        path = folder / self._array(number, count, kind)
        try:
            found = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {path}: {error}; embed that data again") from error
        if found.ndim != 2 or found.dtype not in _DTYPES:
            raise DataError(f"{path} is no table of numbers; embed that data again")
        return found

    def rows(self, folder: Path, number: int, count: int) -> pa.Table:
        """See ``Layout``."""
        column = self._path_column()
        found = _read(folder / self._table(number, count), ["uid", column, "caption", "row"])
        return found.rename_columns(["uid", "path", "caption", "row"])


class ClipRetrievalLayout(NpyLayout):
    """As ``clip-retrieval inference`` writes; ``uid`` and ``row`` are columns beside its own."""

    _NAMES: ClassVar[dict[str, str]] = {IMAGES: "img_emb", TEXTS: "text_emb"}

    def _array(self, number: int, count: int, kind: str) -> str:
        name = self._NAMES[kind]
        return f"{name}/{name}_{self._number(number, count)}.npy"

    def _table(self, number: int, count: int) -> str:
        return f"metadata/metadata_{self._number(number, count)}.parquet"

    def _path_column(self) -> str:
        return "image_path"

    def _number(self, number: int, count: int) -> str:
        return str(number).zfill(len(str(count)))


class ParquetLayout:
    """Vectors beside uid, path and caption, as lists of one length in columns of their kind."""

    def write(
        self, folder: Path, number: int, count: int, items: Sequence[Item], vectors: Vectors
    ) -> list[str]:
        """See ``Layout``."""
        name = self._name(number)
        make_folder((folder / name).parent)
        table = _rows_of(items)
        for kind, array in vectors.items():
            flat = pa.array(np.ascontiguousarray(array).reshape(-1), type=_DTYPES[array.dtype])
            column = pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
            table = table.append_column(kind, column)
        write_part(folder / name, table.schema, table.to_batches(), {})
        return [name]

    def vectors(self, folder: Path, number: int, count: int, kind: str) -> np.ndarray:
        """See ``Layout``; read into memory."""
        column = _read(folder / self._name(number), [kind]).column(kind).combine_chunks()
        width = column.type.list_size
        return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)

    def rows(self, folder: Path, number: int, count: int) -> pa.Table:
        """See ``Layout``."""
        return _read(folder / self._name(number), _ROWS.names)

    def _name(self, number: int) -> str:
        return f"embeddings/{number:05d}.parquet"


LAYOUTS: dict[str, Layout] = {
    "npy": NpyLayout(),
    "parquet": ParquetLayout(),
    "clip-retrieval": ClipRetrievalLayout(),
}


def npy_bytes(array: np.ndarray) -> bytes:
    """An array as an npy file."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array), allow_pickle=False)
    return stream.getvalue()


def _rows_of(items: Sequence[Item]) -> pa.Table:
    columns = [
        [item.uid for item in items],
        [item.path for item in items],
        [item.caption for item in items],
        [item.row for item in items],
    ]
    arrays = [pa.array(own, type=f.type) for own, f in zip(columns, _ROWS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=_ROWS)


def _read(path: Path, columns: list[str]) -> pa.Table:
    try:
        return parquet.read_table(path, columns=columns)
    except (OSError, pa.ArrowException, KeyError) as error:
        told = " ".join(str(error).split())[:200]
        raise DataError(f"cannot read {path}: {told}; embed that data again") from error
