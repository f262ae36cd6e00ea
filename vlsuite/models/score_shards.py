"""A number for each sample of shards, as a column beside their table; see ``scorers``.

A file for each shard, atomically written, with what its scores depend on: content of the shard,
fingerprint of the scorer (weights, preprocessing, tokenizer) and batch size, which changes the last
digits. What cannot be decoded, and what has no caption where one is read, scores NaN.
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from data_pipelines.curation.parts import note_of
from data_pipelines.curation.score_parts import SCORE_VERSION, write_score_part
from data_pipelines.curation.table import SCORES, SCORES_NAME, Table, TablePart
from data_pipelines.shards.atomic import make_folder, remove_unfinished, write_file
from data_pipelines.shards.manifest import sha256_of
from vlsuite.errors import DataError
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
    progress: Progress = iter,
) -> Scored:
    """Write the scores of all shards of a table; shards that have them already are passed over.

    Args:
        paths: of the shards of the table.
        name: of the column.
        batch_size: samples of a forward pass.
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
    remove_unfinished(folder)
    (folder / SCORES_NAME).unlink(missing_ok=True)
    settings = {
        "format_version": SCORE_VERSION,
        "model": scorer.fingerprint,
        "batch_size": batch_size,
        "text": "first caption" if scorer.reads_texts else None,
    }
    done = [
        _score_shard(scorer, shards[part.shard], part, folder / part.path.name, settings)
        for part in progress(table.parts)
    ]
    digests = {part.path.name: sha256_of(folder / part.path.name) for part in table.parts}
    text = json.dumps({"name": name, **settings, "parts": digests}, indent=1)
    write_file(folder / SCORES_NAME, f"{text}\n".encode())
    return Scored(table.num_rows, sum(own.num_without for own in done), sum(o.is_new for o in done))


class _Done(NamedTuple):
    num_without: int
    is_new: bool


def _score_shard(
    scorer: SampleScorer, shard: Path, part: TablePart, path: Path, settings: dict[str, Any]
) -> _Done:
    note = {"content": part.content, "rows": part.rows, **settings}
    stored = note_of(path)
    if stored is not None and all(stored.get(key) == value for key, value in note.items()):
        return _Done(stored["without"], False)
    index = opened_shard(shard, part)
    scores = np.full(part.rows, math.nan, dtype=np.float32)
    size = settings["batch_size"]
    transform, with_text = scorer.image_transform, scorer.reads_texts
    for batch in sample_batches(index, size, transform=transform, with_text=with_text):
        scores[batch.rows] = scorer.scores(batch)
    without = int(np.isnan(scores).sum())
    write_score_part(path, scores, {**note, "without": without})
    return _Done(without, True)
