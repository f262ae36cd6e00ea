"""A number for each sample of shards, as a column beside their table; see ``scorers``.

A file for each shard, atomically written, with what its scores depend on: content of the shard,
fingerprint of the scorer (weights, preprocessing, tokenizer) and batch size, which changes the last
digits. What cannot be decoded, and what has no caption where one is read, scores NaN.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from data_pipelines.curation.parts import note_of
from data_pipelines.curation.score_parts import SCORE_VERSION, write_score_part
from data_pipelines.curation.table import SCORES, SCORES_NAME, Table, TablePart
from data_pipelines.shards.atomic import make_folder, remove_unfinished, write_file
from data_pipelines.shards.manifest import sha256_of
from data_pipelines.workers.share import Share
from data_pipelines.workers.shared_storage import await_file
from vlsuite.errors import DataError
from vlsuite.models.part_tasks import ModelCluster, PartTask, over_parts
from vlsuite.models.scorers.contract import SampleScorer
from vlsuite.models.shard_batches import opened_shard, sample_batches, shards_of

Progress = Callable[[Iterable[Any]], Iterable[Any]]


@runtime_checkable
class Scorer(Protocol):
    """A dual encoder; ``vlsuite.models.dual_encoder.clip.Clip`` is one."""

    @property
    def fingerprint(self) -> str:
        """Of everything that embeddings depend on."""
        ...

    @property
    def image_transform(self) -> Callable[..., Tensor]:
        """Picture to the pixels that it embeds."""
        ...

    def embed_images(self, images: Tensor) -> Tensor:
        """Unit vectors."""
        ...

    def embed_texts(self, texts: list[str]) -> Tensor:
        """Unit vectors."""
        ...


class Scored(NamedTuple):
    """What was done: samples, those without a score, and shards that were read now."""

    num_samples: int
    num_without: int
    num_read: int


def score_shards(
    scorer: SampleScorer,
    paths: Sequence[str],
    table: Table,
    *,
    name: str,
    batch_size: int,
    share: Share | None = None,
    cluster: ModelCluster | None = None,
    progress: Progress = iter,
) -> Scored:
    """Write the scores of all shards of a table; shards that have them already are passed over.

    Args:
        paths: of the shards of the table, or addresses: each is then fetched into the cache of
            training, unless its scores are there.
        name: of the column.
        batch_size: samples of a forward pass.
        share: of the shards that is scored; the column is complete after a call without it.
        cluster: whose nodes score, in place of this process.
        progress: wraps the shards.
    Raises:
        DataError: a shard of the table is not there or of other content, the name is that of
            another column, or the folder cannot be written.
    """
    if not name.replace("-", "_").isidentifier() or name in table.columns:
        raise DataError(f"'{name}' cannot name a score: use a word that is no column of the table")
    shards = shards_of(table, paths)
    folder = table.folder / SCORES / name
    make_folder(folder)
    if share is None:
        remove_unfinished(folder)  # those of other shares may be written right now
    (folder / SCORES_NAME).unlink(missing_ok=True)
    settings = _settings(scorer, batch_size)
    parts = table.parts if share is None else share.of(table.parts)
    work = partial(_score_shard, folder=folder.absolute(), settings=settings)
    tasks = [PartTask(shards[part.shard], part) for part in parts]
    done = over_parts(work, scorer, tasks, cluster=cluster, progress=progress)
    for part in parts if cluster else ():
        await_file(folder / part.path.name)
    rows, without = sum(part.rows for part in parts), sum(own.num_without for own in done)
    scored = Scored(rows, without, sum(own.is_new for own in done))
    if share is not None:
        return scored
    digests = {part.path.name: sha256_of(folder / part.path.name) for part in table.parts}
    text = json.dumps({"name": name, **settings, "parts": digests}, indent=1)
    write_file(folder / SCORES_NAME, f"{text}\n".encode())
    return scored


def missing_scores(scorer: SampleScorer, table: Table, *, name: str, batch_size: int) -> list[int]:
    """Numbers of the parts of a table that have no such scores yet."""
    settings, folder = _settings(scorer, batch_size), table.folder / SCORES / name
    return [
        number
        for number, part in enumerate(table.parts)
        if not _is_of(note_of(folder / part.path.name), _note(part, settings))
    ]


def _settings(scorer: SampleScorer, batch_size: int) -> dict[str, Any]:
    """What scores depend on beside their shard."""
    return {
        "format_version": SCORE_VERSION,
        "model": scorer.fingerprint,
        "batch_size": batch_size,
        "text": "first caption" if scorer.reads_texts else None,
    }


def _note(part: TablePart, settings: dict[str, Any]) -> dict[str, Any]:
    return {"content": part.content, "rows": part.rows, **settings}


def _is_of(stored: dict[str, Any] | None, note: dict[str, Any]) -> bool:
    return stored is not None and all(stored.get(key) == value for key, value in note.items())


class _Done(NamedTuple):
    num_without: int
    is_new: bool


def _score_shard(
    scorer: SampleScorer, task: PartTask, folder: Path, settings: dict[str, Any]
) -> _Done:
    part, path = task.part, folder / task.part.path.name
    note = _note(part, settings)
    stored = note_of(path)
    if stored is not None and _is_of(stored, note):
        return _Done(stored["without"], False)
    index = opened_shard(task.shard, part)
    scores = np.full(part.rows, math.nan, dtype=np.float32)
    size = settings["batch_size"]
    transform, with_text = scorer.image_transform, scorer.reads_texts
    for batch in sample_batches(index, size, transform=transform, with_text=with_text):
        scores[batch.rows] = scorer.scores(batch)
    without = int(np.isnan(scores).sum())
    write_score_part(path, scores, {**note, "without": without})
    return _Done(without, True)
