"""Subsets made from what names samples: tables, lists of uids, other subsets."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines.bounded_json import read_object
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import sha256_of
from data_pipelines.subsets.kept_table import parts_of_table
from data_pipelines.subsets.matching import parts_for
from data_pipelines.subsets.pool import Pool
from data_pipelines.subsets.subset import Subset, SubsetShard
from data_pipelines.subsets.subset_file import is_subset, read_subset
from data_pipelines.subsets.uid_column import uid_column
from data_pipelines.subsets.uid_list import UidList, counts_in

#: Files in the folder of a run of 'vlsuite curate'.
KEPT_NAME, RUN_NAME = "kept.parquet", "run.json"

_OF_RUN = ("recipe", "recipe_sha256", "samples", "kept")
_EXAMPLES = 5

Progress = Callable[[Iterable[Any]], Iterable[Any]]


class Made(NamedTuple):
    """A subset, and what could not be taken as asked.

    Attributes:
        subset: whose provenance counts what follows.
        missing: uids that no shard has, for reading once; empty where none were listed.
        num_missing: of them.
    """

    subset: Subset
    missing: Iterator[str]
    num_missing: int


def make_subset(
    pool: Pool, source: Path, *, recipe: JsonValue = "", progress: Progress = iter
) -> Made:
    """Choose the samples of a pool that a file names.

    Args:
        source: Parquet with the columns uid, shard and row, or the folder of a run of 'vlsuite
            curate' that holds it; a subset, of which the part of these shards is taken; or a list
            of uids: DataComp's, or text.
        recipe: what the choice was made by, for the provenance.
        progress: is given the shards as they are looked through.
    Raises:
        DataError: the file cannot be read, or was made for other shards.
    """
    told: dict[str, JsonValue] = {"recipe": recipe, "source": source.name}
    if source.is_dir():
        source = source / KEPT_NAME
    if source.suffix.lower() == ".parquet":
        parts = parts_of_table(source, pool.shards, pool.identities)
        told |= {"source_sha256": sha256_of(source), **_run_of(source, recipe)}
        return _made(pool, parts, told)
    if is_subset(source):
        before = read_subset(source)
        parts = parts_for(before, pool.identities, name=str(source), some_only=True)
        return _made(pool, parts, {**told, "of": before.digest, "before": dict(before.provenance)})
    return _of_list(pool, source, told, progress)


def _run_of(table: Path, recipe: JsonValue) -> dict[str, JsonValue]:
    """What the run beside a table says of itself: its recipe, and what each stage dropped."""
    try:
        stored = read_object(table.with_name(RUN_NAME))
    except (OSError, ValueError):
        return {}
    stages = stored.get("stages")
    known = [stage for stage in stages if isinstance(stage, dict)] if stages else []
    return {
        "recipe": recipe or stored.get("recipe", ""),
        "run": {name: stored[name] for name in _OF_RUN if name in stored},
        "stages": [{k: v for k, v in one.items() if k != "warnings"} for one in known],
    }


def _of_list(pool: Pool, source: Path, told: dict[str, JsonValue], progress: Progress) -> Made:
    wanted = UidList.open(source)
    parts: list[SubsetShard] = []
    for identity, shard in progress(list(zip(pool.identities, pool.shards, strict=True))):
        column = uid_column(ShardIndex.open(shard))
        counts = counts_in(wanted, column.ids, column.is_id, column.others)
        parts.append(SubsetShard.from_counts(identity, counts))
    num_missing = wanted.num_missing()
    if num_missing and not any(part.num_kept for part in parts):
        raise DataError(
            f"none of the {num_missing:,} uids listed in {source} is in these shards; give the "
            "shards it was made for, or check that it is a list of uids"
        )
    told |= {
        "source_sha256": sha256_of(source),
        "uids_listed": len(wanted),
        "uids_missing": num_missing,
        "missing_examples": list(islice(wanted.missing(), _EXAMPLES)),
        "samples_of_a_uid_met_before": wanted.ids.num_again + wanted.others.num_again,
    }
    made = _made(pool, parts, told)
    return made._replace(missing=wanted.missing(), num_missing=num_missing)


def _made(pool: Pool, parts: list[SubsetShard], told: dict[str, JsonValue]) -> Made:
    subset = Subset(parts=parts)
    told |= {"kept": subset.num_kept, "dropped": pool.num_samples - subset.num_kept}
    return Made(Subset(parts=parts, provenance=told), iter(()), 0)
