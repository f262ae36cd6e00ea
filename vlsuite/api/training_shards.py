"""Evaluation on what a model was trained on, said before it is measured."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from data_pipelines.bounded_json import read_json
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.overlap import shards_among
from data_pipelines.subsets.subset_file import read_subset
from eval.data.dataset import EvalDataset
from vlsuite.errors import UserError

_NAMED = 3


def trained_on_warnings(
    datasets: Iterable[EvalDataset],
    patterns: Sequence[str],
    *,
    whose: str,
    subsets: Sequence[str] = (),
) -> Iterator[str]:
    """A line for each data set that has shards of the training set, or copies of them.

    Args:
        datasets: to be measured on.
        patterns: training shards, as in ``data.train``; remote and vanished ones are left out.
        whose: training, for the message: a run's folder.
        subsets: as in ``data.subset``; a shard of which other samples are measured is none of the
            training set's.
    """
    trained = [shard for pattern in patterns for shard in _found(pattern)]
    chosen = _chosen_by_mark(subsets)
    for dataset in datasets if trained else ():
        shards = dataset.layout.shards
        rows = dataset.layout.rows or [None] * len(shards)
        measured = dict(zip(shards, rows, strict=True))
        shared = [
            shard
            for shard in shards_among(shards, trained)
            if _are_measured(shard, measured[shard], chosen)
        ]
        if shared:
            listed = ", ".join(path.name for path in shared[:_NAMED])
            more = ", ..." if len(shared) > _NAMED else ""
            yield (
                f"{dataset.title}: {len(shared)} of its {len(shards)} shards ({listed}{more}) "
                f"belong to the training set of {whose}: scores on them tell what was memorised; "
                "measure on data that was kept apart"
            )


def patterns_of_run(model: str) -> tuple[str, list[str]] | None:
    """Folder and training shards of the run that a model's name means; None for other models.

    Args:
        model: a run folder, or a folder in it such as its export.
    """
    for folder in (Path(model), Path(model).parent):
        stored = _config_of(folder)
        if stored is not None:
            data = stored.get("data")
            train = data.get("train", ()) if isinstance(data, dict) else ()
            return str(folder), [str(one) for one in ([train] if isinstance(train, str) else train)]
    return None


def subsets_of_run(model: str) -> list[str]:
    """Subsets of the training shards of the run that a model's name means."""
    for folder in (Path(model), Path(model).parent):
        data = (_config_of(folder) or {}).get("data")
        if isinstance(data, dict):
            named = data.get("subset", ())
            return [str(one) for one in ([named] if isinstance(named, str) else named)]
    return []


def _chosen_by_mark(subsets: Sequence[str]) -> dict[str, Int64[np.ndarray, " samples"]] | None:
    """How often each sample was trained on, by the mark of its shard; None where all were, or
    nobody knows."""
    found: dict[str, Int64[np.ndarray, " samples"]] = {}
    try:
        parts = [part for file in subsets for part in read_subset(Path(file)).parts]
    except UserError:  # "all" is no file either
        return None
    for part in parts:
        before = found.get(part.shard.mark)
        found[part.shard.mark] = part.counts if before is None else before + part.counts
    return found or None


def _are_measured(
    shard: Path,
    rows: Int64[np.ndarray, " rows"] | None,
    chosen: dict[str, Int64[np.ndarray, " samples"]] | None,
) -> bool:
    """Whether samples of a shard of the training set were trained on."""
    if chosen is None:
        return True
    counts = chosen.get(ShardIndex.open(shard).layout.mark)
    return counts is None or bool((counts if rows is None else counts[rows]).any())


def _config_of(folder: Path) -> dict[str, Any] | None:
    """The settings in a run's config.json; None where the folder is no run."""
    try:
        stored = read_json(folder / "config.json")
    except (OSError, ValueError):
        return None
    is_run = isinstance(stored, dict) and "recipe" in stored
    config = stored.get("config") if is_run else None
    return config if isinstance(config, dict) else None


def _found(pattern: str) -> list[Path]:
    if "://" in pattern:
        return []
    try:
        return find_shards([pattern])
    except (UserError, OSError):
        return []
