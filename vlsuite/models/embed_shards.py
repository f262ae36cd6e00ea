"""Embeddings of all pictures or captions of shards, beside their table.

A file for each shard, atomically written, with what its vectors depend on: content of the shard,
fingerprint of the model (weights, preprocessing, tokenizer) and batch size, which changes the last
digits. See ``data_pipelines.curation.vector_parts`` for the files.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float16, Float32

from data_pipelines.curation.table import Table, TablePart
from data_pipelines.curation.vector_parts import (
    VECTORS,
    VECTORS_NAME,
    vector_note,
    write_vector_part,
)
from data_pipelines.shards.atomic import make_folder, remove_unfinished, write_file
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.shard_set import Shard
from data_pipelines.workers.share import Share
from data_pipelines.workers.shared_storage import await_file
from vlsuite.errors import DataError
from vlsuite.models.part_tasks import ModelCluster, PartTask, over_parts
from vlsuite.models.score_shards import Scorer
from vlsuite.models.shard_batches import SampleBatch, opened_shard, sample_batches, shards_of

Progress = Callable[[Iterable[Any]], Iterable[Any]]

#: What of a sample is embedded.
Embedded = Literal["picture", "caption"]


class EmbeddedShards(NamedTuple):
    """What was done: samples, those without a vector, numbers of a vector, shards read now."""

    num_samples: int
    num_without: int
    dim: int
    num_read: int


def embed_shards(
    model: Scorer,
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
        paths: of the shards of the table, or addresses: each is then fetched into the cache of
            training, unless its vectors are there.
        name: of the vectors.
        of: what is embedded, pictures or the first captions.
        batch_size: samples of a forward pass.
        share: of the shards that is embedded; the vectors are complete after a call without it.
        cluster: whose nodes embed, in place of this process.
        progress: wraps the shards.
    Raises:
        DataError: a shard of the table is not there or of other content, the name is none, or the
            folder cannot be written.
    """
    if not name.replace("-", "_").isidentifier():
        raise DataError(f"'{name}' cannot name vectors: use a word, such as 'clip'")
    shards = shards_of(table, paths)
    folder = table.folder / VECTORS / name
    make_folder(folder)
    if share is None:
        remove_unfinished(folder)  # those of other shares may be written right now
    (folder / VECTORS_NAME).unlink(missing_ok=True)
    settings = {"model": model.fingerprint, "of": of, "batch_size": batch_size}
    parts = table.parts if share is None else share.of(table.parts)
    work = partial(_embed_task, folder=folder.absolute(), settings=settings)
    tasks = [PartTask(shards[part.shard], part) for part in parts]
    done = over_parts(work, model, tasks, cluster=cluster, progress=progress)
    for part in parts if cluster else ():
        await_file(_path(folder, part))
    embedded = EmbeddedShards(
        num_samples=sum(part.rows for part in parts),
        num_without=sum(one.note["without"] for one in done),
        dim=done[0].note["dim"] if done else 0,
        num_read=sum(one.is_new for one in done),
    )
    if share is not None:
        return embedded
    digests = {
        part.path.stem: one.note["sha256"] for part, one in zip(table.parts, done, strict=True)
    }
    told = {"name": name, **settings, "dim": embedded.dim, "parts": digests}
    write_file(folder / VECTORS_NAME, f"{json.dumps(told, indent=1)}\n".encode())
    return embedded


def missing_vectors(
    model: Scorer, table: Table, *, name: str, of: Embedded = "picture", batch_size: int = 256
) -> list[int]:
    """Numbers of the parts of a table that have no such vectors yet."""
    settings = {"model": model.fingerprint, "of": of, "batch_size": batch_size}
    folder = table.folder / VECTORS / name
    return [
        number
        for number, part in enumerate(table.parts)
        if not _is_of(vector_note(_path(folder, part)), _note(part, settings))
    ]


def _path(folder: Path, part: TablePart) -> Path:
    return folder / f"{part.path.stem}.npy"


def _note(part: TablePart, settings: dict[str, Any]) -> dict[str, Any]:
    return {"content": part.content, "rows": part.rows, **settings}


def _is_of(stored: Mapping[str, Any] | None, note: Mapping[str, Any]) -> bool:
    return stored is not None and all(stored.get(key) == value for key, value in note.items())


class EmbeddedPart(NamedTuple):
    """The stored note of a shard's vectors, and whether they were made now."""

    note: dict[str, Any]
    is_new: bool


def _embed_task(
    model: Scorer, task: PartTask, folder: Path, settings: dict[str, Any]
) -> EmbeddedPart:
    return embed_part(model, task.shard, task.part, folder, settings)


def embed_part(
    model: Scorer, shard: Shard, part: TablePart, folder: Path, settings: dict[str, Any]
) -> EmbeddedPart:
    """Write the vectors of one shard unless they are there.

    Args:
        folder: of the vectors.
        settings: ``model`` (fingerprint), ``of`` and ``batch_size``.
    Raises:
        DataError: the shard is of other content than its part of the table.
    """
    path = _path(folder, part)
    wanted = _note(part, settings)
    stored = vector_note(path)
    if stored is not None and _is_of(stored, wanted):
        return EmbeddedPart(stored, False)
    index = opened_shard(shard, part)
    vectors = embedded_rows(model, index, of=settings["of"], batch_size=settings["batch_size"])
    without = int(np.isnan(vectors[:, 0]).sum())
    note = write_vector_part(path, vectors, {**wanted, "without": without})
    return EmbeddedPart(note, True)


def embedded_rows(
    model: Scorer, index: ShardIndex, *, of: Embedded, batch_size: int
) -> Float16[np.ndarray, "rows dim"]:
    """Unit vectors of all samples of a shard; NaN for those that cannot be read.

    Args:
        of: what is embedded.
        batch_size: samples of a forward pass.
    """
    is_picture = of == "picture"
    batches = sample_batches(
        index,
        batch_size,
        transform=model.image_transform if is_picture else None,
        with_text=not is_picture,
    )
    found: np.ndarray | None = None
    for batch in batches:
        vectors = _embedded(model, batch)
        if found is None:
            found = np.full((len(index), vectors.shape[1]), math.nan, dtype=np.float16)
        found[batch.rows] = vectors
    return _nothing(model, len(index)) if found is None else found


@torch.inference_mode()
def _embedded(model: Scorer, batch: SampleBatch) -> Float32[np.ndarray, "batch dim"]:
    if batch.pixels:
        vectors = model.embed_images(torch.stack(batch.pixels))
    else:
        vectors = model.embed_texts(batch.texts)
    return vectors.float().cpu().numpy()


def _nothing(model: Scorer, rows: int) -> Float16[np.ndarray, "rows dim"]:
    """Of a shard in which nothing can be read; a text tells how long the vectors are."""
    with torch.inference_mode():
        dim = model.embed_texts(["nothing"]).shape[1]
    return np.full((rows, dim), math.nan, dtype=np.float16)
