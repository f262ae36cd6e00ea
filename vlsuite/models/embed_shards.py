"""Embeddings of all pictures or captions of shards, beside their table.

See ``vlsuite.models.table_column`` for what the files depend on, and
``data_pipelines.curation.vector_parts`` for what they hold.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float16

from data_pipelines.curation.table import Table, TablePart
from data_pipelines.curation.vector_parts import (
    VECTORS,
    VECTORS_NAME,
    vector_note,
    write_vector_part,
)
from data_pipelines.embeddings.item import IMAGES, TEXTS, Wanted
from data_pipelines.shards.index import ShardIndex
from data_pipelines.workers.share import Share
from vlsuite.errors import DataError
from vlsuite.models.embedding import Embedding, PairEmbedder, embedded_batches
from vlsuite.models.part_tasks import ModelCluster, PartTask
from vlsuite.models.shard_batches import opened_shard, shard_items
from vlsuite.models.table_column import (
    Note,
    PartMade,
    Progress,
    TableColumn,
    fill_column,
    finish_column,
)

#: What of a sample is embedded.
Embedded = Literal["picture", "caption"]


class EmbeddedShards(NamedTuple):
    """What was done: samples, those without a vector, numbers of a vector, shards read now."""

    num_samples: int
    num_without: int
    dim: int
    num_read: int


def embed_shards(
    model: PairEmbedder,
    paths: Sequence[str],
    table: Table,
    *,
    name: str,
    of: Embedded = "picture",
    batch_size: int = 256,
    share: Share | None = None,
    cluster: ModelCluster | None = None,
    progress: Progress = iter,
) -> EmbeddedShards:
    """Write the vectors of all shards of a table; shards that have them already are passed over.

    Args:
        name: of the vectors.
        of: what is embedded, pictures or the first captions.
        batch_size: samples of a forward pass.
        share: of the shards that is embedded; the vectors are complete after a call without it.
        paths, cluster, progress: see ``fill_column``.
    Raises:
        DataError: see ``fill_column``, or the name is none.
    """
    if not name.replace("-", "_").isidentifier():
        raise DataError(f"'{name}' cannot name vectors: use a word, such as 'clip'")
    column = _column(model, table, name, of, batch_size)
    filled = fill_column(
        column, model, paths, table, share=share, cluster=cluster, progress=progress
    )
    dim = filled.made[0].note["dim"] if filled.made else 0
    if share is None:
        finish_column(column, table, filled, told={"dim": dim})
    return EmbeddedShards(filled.num_samples, filled.num_without, dim, filled.num_read)


def missing_vectors(
    model: PairEmbedder,
    table: Table,
    *,
    name: str,
    of: Embedded = "picture",
    batch_size: int = 256,
) -> list[int]:
    """Numbers of the parts of a table that have no such vectors yet."""
    return _column(model, table, name, of, batch_size).missing(table)


def _column(
    model: PairEmbedder, table: Table, name: str, of: Embedded, batch_size: int
) -> "_Vectors":
    settings = {"model": model.fingerprint, "of": of, "batch_size": batch_size}
    return _Vectors(folder=table.folder / VECTORS / name, settings=settings)


@dataclass(frozen=True, kw_only=True)
class _Vectors(TableColumn):
    about_name: ClassVar[str] = VECTORS_NAME

    def path(self, part: TablePart) -> Path:
        return self.folder / f"{part.path.stem}.npy"

    def stored(self, path: Path) -> dict[str, Any] | None:
        return vector_note(path)

    def make(self, model: PairEmbedder, task: PartTask, note: Note) -> dict[str, Any]:
        index = opened_shard(task.shard, task.part)
        kind = IMAGES if self.settings["of"] == "picture" else TEXTS
        how = Embedding(kind=kind, pixels="exact", batch_size=self.settings["batch_size"])
        vectors = _rows_of(model, index, how)
        told = {**note, "without": int(np.isnan(vectors[:, 0]).sum())}
        return write_vector_part(self.path(task.part), vectors, told)

    def listed(self, part: TablePart, made: PartMade) -> tuple[str, str]:
        return part.path.stem, made.note["sha256"]


def _rows_of(
    model: PairEmbedder, index: ShardIndex, how: Embedding
) -> Float16[np.ndarray, "rows dim"]:
    """Unit vectors of all samples of a shard; NaN for those that cannot be read."""
    found: np.ndarray | None = None
    for batch in embedded_batches(model, shard_items(index, Wanted.of(how.kind)), how):
        for vectors in batch.vectors.values():
            if found is None:
                found = np.full((len(index), vectors.shape[1]), math.nan, dtype=np.float16)
            found[[item.row for item in batch.items]] = vectors
    return _nothing(model, len(index)) if found is None else found


def _nothing(model: PairEmbedder, rows: int) -> Float16[np.ndarray, "rows dim"]:
    """Of a shard in which nothing can be read; a text tells how long the vectors are."""
    with torch.inference_mode():
        dim = model.embed_texts(["nothing"]).shape[1]
    return np.full((rows, dim), math.nan, dtype=np.float16)
