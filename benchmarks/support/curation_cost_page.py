"""The page that says what curating a pool costs.

It names its assumptions and rates in tables that ``read_page`` reads back, so that its figures can
be held against them.
"""

import re
from dataclasses import fields

from benchmarks.support.curation_costs import HOUR, Pool, Rates, Step, steps
from data_pipelines.units import in_bytes

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
    "storage": "bytes a second of the storage, for all nodes together",
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
  {cores} cores would read {read_rate} a second in `scan`: where that is more than storage
  gives, storage sets the pace ("h of storage"), and fewer cores do. Starting {shards} tasks
  costs {starting} of a Ray cluster's scheduler.
- **One machine**: `run` reads the table, not the shards; one core writes the fates. It needs
  about {scratch} of disk for rows that are sorted by uid; memory is bounded by `--memory`. Tables
  of some million rows were tried, one of a million parts was not: a table for each source or crawl,
  run by itself, is the way around, and then `blocklist` carries what one has into the next.
- **Semantic duplicates** compare each vector with the centre of every cell of k-means and with the
  vectors of the nearest cells: {compared} products at {cells} cells. Vectors take
  {vectors} in fp16.
- **Models** are not counted. clip-retrieval's authors report 1,400 to 1,500 pictures a second on
  one RTX 3080 for CLIP B/32, which would be {gpu_hours} GPU hours.
- **Files**: one tar and one part of a table a shard, one file of lineage for two million pairs.
  File systems of clusters dislike a million files in a folder; 50,000 samples a shard are a fifth.
- **Not in it**: failed hardware, requests to storage for small files, the network of `ingest`
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
    hours = scan.cpu_hours and scan.cpu_hours / scan.cores
    shards = pool.pairs / pool.shard_samples
    run = found["run, fates"]
    return _PAGE.format(
        assumptions=_named_numbers(pool, "assumed"),
        rates=_named_numbers(rates, "a core-second, or as said"),
        source=source,
        costs=_table(list(found.values())),
        worker=in_bytes(rates.worker_bytes),
        cores=f"{pool.cores:,.0f}",
        read_rate=in_bytes(scan.read_bytes / (hours * HOUR)) if hours else "an unknown rate",
        shards=f"{shards:,.0f}",
        starting=f"{shards * rates.task_ms / 6e4:,.0f} minutes" if rates.task_ms else "some time",
        scratch=in_bytes(2 * run.written_bytes),
        cells=f"{pool.cells:,.0f}",
        compared=f"{pool.cells + pool.probes * pool.pairs / pool.cells:,.0f}",
        vectors=in_bytes(pool.pairs * pool.dimensions * 2),
        gpu_hours=f"{pool.pairs / 1450 / HOUR:,.0f}",
        addresses=f"{pool.pairs / pool.downloaded / 1e9:.4g} billion",
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
        where = f"on {step.cores:,.0f} cores" if step.cores > 1 else "on one core"
        if step.hours == step.moving_hours:
            where = "of storage"
        cells = [
            f"`{step.name}`",
            "not measured" if step.cpu_hours is None else f"{step.cpu_hours:,.0f}",
            "-" if step.hours is None else f"{step.hours:,.1f} h {where}",
            in_bytes(step.read_bytes) if step.read_bytes else "-",
            in_bytes(step.written_bytes) if step.written_bytes else "-",
            f"{step.files:,.0f}" if step.files else "-",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
