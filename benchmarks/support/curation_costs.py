"""What curating a pool costs, from rates of one core."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

#: In seconds.
HOUR = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """What is assumed of a pool and a cluster.

    Args:
        pairs: samples.
        picture_bytes: of a stored picture, its caption and json, tar headers included.
        shard_samples: samples of one shard.
        stages: of the recipe.
        kept: share of the pairs that the recipe keeps.
        downloaded: share of addresses that give a picture.
        dimensions: of the vectors of semantic deduplication.
        cells: that k-means cuts the vectors into.
        probes: cells that a vector is compared in.
        cores: of the cluster.
        cores_of_one: of the machine that filters.
        storage: bytes that storage reads or writes a second, for all nodes together.
    """

    pairs: float = 1e10
    picture_bytes: float = 25_000
    shard_samples: float = 10_000
    stages: float = 6
    kept: float = 0.3
    downloaded: float = 0.8
    dimensions: float = 512
    cells: float = 200_000
    probes: float = 4
    cores: float = 1_000
    cores_of_one: float = 64
    storage: float = 2e10


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Of one core, by processor time; 0 is not measured.

    Args:
        ingest: pictures downloaded, resized and written a second.
        scan: samples scanned a second: header, SHA-256, caption.
        scan_hash: the same with the perceptual hash of a scaled decode.
        query: rows that a stage judges a second.
        run: rows whose fate is sorted and written a second.
        dots: dot products of 512 numbers a second.
        copied: bytes of samples copied a second by reshard.
        table_bytes: of the table, a sample.
        run_bytes: of lineage and kept rows, a sample.
        worker_bytes: memory of a process that scans.
        task_ms: of a Ray task that does nothing.
    """

    ingest: float = 0.0
    scan: float = 0.0
    scan_hash: float = 0.0
    query: float = 0.0
    run: float = 0.0
    dots: float = 0.0
    copied: float = 0.0
    table_bytes: float = 0.0
    run_bytes: float = 0.0
    worker_bytes: float = 0.0
    task_ms: float = 0.0


class Step(NamedTuple):
    """One command over the whole pool, or a part of one.

    Attributes:
        cpu_hours: of one core; None where no rate is known.
        cores: that can work on it at once.
        storage: bytes a second.
    """

    name: str
    cpu_hours: float | None
    read_bytes: float
    written_bytes: float
    files: float
    cores: float
    storage: float

    @property
    def moving_hours(self) -> float:
        """By the clock, of the storage."""
        return (self.read_bytes + self.written_bytes) / self.storage / HOUR

    @property
    def hours(self) -> float | None:
        """By the clock: that of the cores, or of the storage if it is slower."""
        if self.cpu_hours is None:
            return None
        return max(self.cpu_hours / self.cores, self.moving_hours)


def steps(pool: Pool, rates: Rates) -> list[Step]:
    """All commands, in the order in which they are run."""
    stored = pool.pairs * pool.picture_bytes
    shards = pool.pairs / pool.shard_samples
    table, lineage = pool.pairs * rates.table_bytes, pool.pairs * rates.run_bytes
    vectors = pool.pairs * pool.dimensions * 2  # fp16
    kept = pool.kept * pool.pairs
    compared = pool.pairs * (pool.cells + pool.probes * pool.pairs / pool.cells)
    dots = rates.dots * 512 / pool.dimensions
    many, one = pool.cores, pool.cores_of_one
    step = partial(Step, storage=pool.storage)
    return [
        step("ingest", _hours(pool.pairs, rates.ingest), 0, stored, shards, many),
        step("scan", _hours(pool.pairs, rates.scan), stored, table, shards, many),
        step("scan --phash", _hours(pool.pairs, rates.scan_hash), stored, table, shards, many),
        step("run", _hours(pool.pairs * pool.stages, rates.query), table * pool.stages, 0, 0, one),
        step("run, fates", _hours(pool.pairs, rates.run), table, lineage, lineage / _FILE_BYTES, 1),
        step("semantic-duplicates", _hours(compared, dots), vectors, 0, 0, one),
        step("subset", None, lineage * pool.kept, pool.pairs / 8, 1, 1),
        step(
            "reshard",
            _hours(kept * pool.picture_bytes, rates.copied),
            stored,
            kept * pool.picture_bytes,
            kept / pool.shard_samples,
            many,
        ),
    ]


#: About as large is one file of a lineage (two million rows).
_FILE_BYTES = 60e6


def _hours(number: float, rate: float) -> float | None:
    return number / rate / HOUR if rate else None
