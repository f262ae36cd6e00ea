"""What curating a pool costs, from rates of one core, and the page that says it.

The page names its assumptions and rates in tables that ``read_page`` reads back, so that its
figures can be held against them.
"""

import re
from dataclasses import dataclass, fields
from typing import NamedTuple

from data_pipelines.units import in_bytes

_HOUR = 3600.0


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
    """

    name: str
    cpu_hours: float | None
    read_bytes: float
    written_bytes: float
    files: float
    cores: float

    @property
    def hours(self) -> float | None:
        """By the clock."""
        return None if self.cpu_hours is None else self.cpu_hours / self.cores


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
    return [
        Step("ingest", _hours(pool.pairs, rates.ingest), 0, stored, shards, many),
        Step("scan", _hours(pool.pairs, rates.scan), stored, table, shards, many),
        Step("scan --phash", _hours(pool.pairs, rates.scan_hash), stored, table, shards, many),
        Step("run", _hours(pool.pairs * pool.stages, rates.query), table * pool.stages, 0, 0, one),
        Step("run, fates", _hours(pool.pairs, rates.run), table, lineage, lineage / _FILE_BYTES, 1),
        Step("semantic-duplicates", _hours(compared, dots), vectors, 0, 0, one),
        Step("subset", None, lineage * pool.kept, pool.pairs / 8, 1, 1),
        Step(
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
    return number / rate / _HOUR if rate else None


_TOLD = {
    "ingest": "pictures downloaded, resized and written",
    "scan": "samples scanned (header, SHA-256, caption)",
    "scan_hash": "samples scanned, perceptual hash of a scaled decode included",
    "query": "rows that one stage judges",
    "run": "rows whose fate is sorted and written",
    "dots": "dot products of 512 numbers (fp32)",
    "copied": "bytes copied by `reshard`",
    "table_bytes": "bytes of the table, a sample",
    "run_bytes": "bytes of lineage and kept rows, a sample",
    "worker_bytes": "bytes of memory, a process that scans",
    "task_ms": "milliseconds of a Ray task that does nothing",
    "pairs": "pairs",
    "picture_bytes": "bytes a sample in a shard",
    "shard_samples": "samples a shard",
    "stages": "stages of the recipe",
    "kept": "share of the pairs that is kept",
    "downloaded": "share of addresses that give a picture (`ingest`)",
    "dimensions": "numbers of a vector (fp16)",
    "cells": "cells of k-means",
    "probes": "cells that a vector is compared in",
    "cores": "cores of the cluster",
    "cores_of_one": "cores of the machine that filters",
}

_PAGE = """\
# What ten billion pairs cost

A model, not a measurement: rates of one core, measured on small sets, times the size of the pool.
Nothing here was run at this size. `python -m benchmarks.curation_cost --write` measures the rates
anew and renews this page; a test holds its figures against its own assumptions and rates.

## Assumptions

{assumptions}

## Rates

{source}

{rates}

## Cost

{costs}

- **Cluster**: `ingest`, `scan`, `curate score`, `curate embed` and `reshard` work shard by shard.
  They need no more memory for more shards ({worker} a worker), and a lost worker costs one shard.
  Hours are those of {cores} cores that all work; storage has to give {read_rate} a second to
  `scan`. Starting {shards} tasks costs {starting} of a Ray cluster's scheduler.
- **One machine**: `run` reads the table, not the shards; one core writes the fates. It needs
  about {scratch} of disk for rows that are sorted by uid; memory is bounded by `--memory`. Tables
  of some million rows were tried, one of a million parts was not: a table for each source or crawl,
  run by itself, is the way around, and then `blocklist` carries what one has into the next.
- **Semantic duplicates** grow with the square of a cell: with {cells} cells of k-means a vector is
  compared with {compared} others. Vectors take {vectors} in fp16.
- **Models** are not counted. clip-retrieval's authors report 1,400 to 1,500 pictures a second on
  one RTX 3080 for CLIP B/32, which would be {gpu_hours} GPU hours.
- **Files**: one tar and one part of a table a shard, one file of lineage for two million pairs.
  File systems of clusters dislike a million files in a folder; 50,000 samples a shard are a fifth.
- **Not in it**: failed hardware, storage that is slower than the cores, the network of `ingest`
  ({addresses} addresses, {network} at 150 kB a picture), and robots.txt, which sets a pace for each
  host.
"""


def page(pool: Pool, rates: Rates, *, source: str) -> str:
    """``COST.md``.

    Args:
        source: where the rates are from, in one line.
    """
    found = {step.name: step for step in steps(pool, rates)}
    scan = found["scan"]
    hours = scan.hours
    shards = pool.pairs / pool.shard_samples
    run = found["run, fates"]
    return _PAGE.format(
        assumptions=_named_numbers(pool, "assumed"),
        rates=_named_numbers(rates, "a core-second, or as said"),
        source=source,
        costs=_table(list(found.values())),
        worker=in_bytes(rates.worker_bytes),
        cores=f"{pool.cores:,.0f}",
        read_rate=in_bytes(scan.read_bytes / (hours * _HOUR)) if hours else "an unknown rate",
        shards=f"{shards:,.0f}",
        starting=f"{shards * rates.task_ms / 6e4:,.0f} minutes" if rates.task_ms else "some time",
        scratch=in_bytes(2 * run.written_bytes),
        cells=f"{pool.cells:,.0f}",
        compared=f"{pool.cells + pool.probes * pool.pairs / pool.cells:,.0f}",
        vectors=in_bytes(pool.pairs * pool.dimensions * 2),
        gpu_hours=f"{pool.pairs / 1450 / _HOUR:,.0f}",
        addresses=f"{pool.pairs / pool.downloaded:,.0f}",
        network=in_bytes(pool.pairs * 150e3),
    )


def read_page(text: str) -> tuple[Pool, Rates, str]:
    """Assumptions, rates and their source, as a page states them."""
    stated = text.split("## Cost\n")[0]
    found = re.findall(r"^\| `(\w+)` \| ([\d.e+]+) ", stated, re.M)
    numbers = {name: float(value) for name, value in found}
    source = text.split("## Rates\n\n")[1].split("\n\n")[0]
    return (
        Pool(**{entry.name: numbers[entry.name] for entry in fields(Pool)}),
        Rates(**{entry.name: numbers[entry.name] for entry in fields(Rates)}),
        source,
    )


def _named_numbers(chosen: Pool | Rates, title: str) -> str:
    lines = [f"| | {title} | |", "|---|---:|---|"]
    for entry in fields(chosen):
        value = getattr(chosen, entry.name)
        lines.append(f"| `{entry.name}` | {value:.6g} | {_TOLD[entry.name]} |")
    return "\n".join(lines)


def _table(found: list[Step]) -> str:
    lines = [
        "| step | CPU hours | by the clock | read | written | files |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for step in found:
        where = f"{step.cores:,.0f} cores" if step.cores > 1 else "one core"
        cells = [
            f"`{step.name}`",
            "not measured" if step.cpu_hours is None else f"{step.cpu_hours:,.0f}",
            "-" if step.hours is None else f"{step.hours:,.1f} h on {where}",
            in_bytes(step.read_bytes) if step.read_bytes else "-",
            in_bytes(step.written_bytes) if step.written_bytes else "-",
            f"{step.files:,.0f}" if step.files else "-",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
