"""A number for each sample of shards, as a column beside their table; see ``scorers``.

What cannot be decoded, and what has no caption where one is read, scores NaN. See
``vlsuite.models.table_column`` for what the files depend on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from data_pipelines.curation.parts import note_of
from data_pipelines.curation.score_parts import SCORE_VERSION, write_score_part
from data_pipelines.curation.table import SCORES, SCORES_NAME, Table, TablePart
from data_pipelines.shards.manifest import sha256_of
from data_pipelines.workers.share import Share
from vlsuite.errors import DataError
from vlsuite.models.part_tasks import ModelCluster, PartTask
from vlsuite.models.scorers.contract import SampleScorer
from vlsuite.models.shard_batches import opened_shard, sample_batches
from vlsuite.models.table_column import (
    Note,
    PartMade,
    Progress,
    TableColumn,
    fill_column,
    finish_column,
)


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
        name: of the column.
        batch_size: samples of a forward pass.
        share: of the shards that is scored; the column is complete after a call without it.
        paths, cluster, progress: see ``fill_column``.
    Raises:
        DataError: see ``fill_column``, or the name is that of another column.
    """
    if not name.replace("-", "_").isidentifier() or name in table.columns:
        raise DataError(f"'{name}' cannot name a score: use a word that is no column of the table")
    column = _column(scorer, table, name, batch_size)
    filled = fill_column(
        column, scorer, paths, table, share=share, cluster=cluster, progress=progress
    )
    if share is None:
        finish_column(column, table, filled, told={})
    return Scored(filled.num_samples, filled.num_without, filled.num_read)


def missing_scores(scorer: SampleScorer, table: Table, *, name: str, batch_size: int) -> list[int]:
    """Numbers of the parts of a table that have no such scores yet."""
    return _column(scorer, table, name, batch_size).missing(table)


def _column(scorer: SampleScorer, table: Table, name: str, batch_size: int) -> "_Scores":
    settings = {
        "format_version": SCORE_VERSION,
        "model": scorer.fingerprint,
        "batch_size": batch_size,
        "text": "first caption" if scorer.reads_texts else None,
    }
    return _Scores(folder=table.folder / SCORES / name, settings=settings)


@dataclass(frozen=True, kw_only=True)
class _Scores(TableColumn):
    about_name: ClassVar[str] = SCORES_NAME

    def path(self, part: TablePart) -> Path:
        return self.folder / part.path.name

    def stored(self, path: Path) -> dict[str, Any] | None:
        return note_of(path)

    def make(self, model: SampleScorer, task: PartTask, note: Note) -> dict[str, Any]:
        index = opened_shard(task.shard, task.part)
        scores = np.full(task.part.rows, math.nan, dtype=np.float32)
        batches = sample_batches(
            index,
            self.settings["batch_size"],
            transform=model.image_transform,
            with_text=model.reads_texts,
        )
        for batch in batches:
            scores[batch.rows] = model.scores(batch)
        told = {**note, "without": int(np.isnan(scores).sum())}
        write_score_part(self.path(task.part), scores, told)
        return told

    def listed(self, part: TablePart, made: PartMade) -> tuple[str, str]:
        return part.path.name, sha256_of(self.path(part))
