"""What would it take to curate ten billion pairs?

Rates of one core are measured in seconds of processor time on a shard of real pictures and a
made-up table; those of downloading and of Ray's tasks are taken from the newest records of
`ingest_speed` and `ray_cluster`. The model that multiplies them with the size of the pool is in
benchmarks/support/curation_costs.py; `--write` renews data_pipelines/curation/COST.md.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.support.curation_cost_page import page
from benchmarks.support.curation_costs import Pool, Rates, Step, steps
from benchmarks.support.curation_tables import made_up_table
from benchmarks.support.data_folder import file_named
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.curation.estimate import Estimate, estimate_scan
from data_pipelines.curation.filters.datacomp_basic import DataCompBasic
from data_pipelines.curation.recipe import load_recipe
from data_pipelines.curation.run import run_recipe
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.stages import Stages
from data_pipelines.shards.index import ShardIndex
from data_pipelines.subsets.raw_shard import RawSample, write_raw

_SHARD = "imagenet-samples-000000.tar"
_PAGE = Path("data_pipelines/curation/COST.md")
_RESULTS = Path("benchmarks/results")
_DIMENSIONS = 512

_WORKER = """
import sys
from data_pipelines.curation.estimate import estimate_scan
from data_pipelines.curation.scan_settings import ScanSettings
print(estimate_scan(sys.argv[1], settings=ScanSettings(phash="scaled")).peak_bytes)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``rows`` of the made-up table, ``vectors`` that are compared with each other."""

    rows: int
    vectors: int
    rounds: int
    seed: int


def main() -> int:
    """Measure, reckon and report; returns the exit code."""
    args = _parse()
    settings = Settings(
        rows=50_000 if args.quick else args.rows,
        vectors=2_000 if args.quick else 8_000,
        rounds=1 if args.quick else args.rounds,
        seed=args.seed,
    )
    environment = describe()
    shard = file_named(args.shard, _SHARD, option="SHARD")
    with TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        rates = _rates(shard, Path(folder), settings)
    pool = Pool()
    source = (
        f"Measured on one core of {environment.hardware.slug}, commit {environment.commit[:12]}."
    )
    text = page(pool, rates, source=source)
    print(text)
    if args.write:
        _PAGE.write_text(text)
    figures = {
        "rates": asdict(rates),
        **{
            step.name.replace(" --", "_").replace(", ", "_").replace("-", "_"): _told(step)
            for step in steps(pool, rates)
        },
    }
    config = {**asdict(settings), "pool": asdict(pool)}
    finish("curation_cost", figures, environment, config=config, save=args.save)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "shard", nargs="?", type=Path, help=f"of pictures (default: {_SHARD} of the data folder)"
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"renew {_PAGE}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="50,000 rows, 1 round")
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    return parser.parse_args()


def _rates(shard: Path, work: Path, settings: Settings) -> Rates:
    plain = _scanned(shard, ScanSettings(), settings)
    hashed = _scanned(shard, ScanSettings(phash="scaled"), settings)
    table = made_up_table(work / "table", rows=settings.rows, seed=settings.seed)
    with Stages(table, threads=1, scratch=work / "scratch") as stages:
        query = _seconds(lambda: stages.run("basic", DataCompBasic()))
    recipe = load_recipe("datacomp-basic")
    run = _seconds(lambda: run_recipe(recipe, table, work / "run", threads=1))
    run_bytes = sum(path.stat().st_size for path in (work / "run").rglob("*.parquet"))
    index = ShardIndex.open(shard)
    samples = [RawSample(f"{i:08d}", f"{i:032x}", index.read(i)) for i in range(len(index))]
    size = sum(len(data) for sample in samples for data in sample.members.values())
    copied = _best(lambda: write_raw(samples, work / "copy.tar"), settings)
    vectors = np.random.default_rng(settings.seed).standard_normal(
        (settings.vectors, _DIMENSIONS), dtype=np.float32
    )
    dots = _best(lambda: vectors @ vectors.T, settings)
    timed = plain.timed[0]
    return Rates(
        ingest=_recorded("ingest_speed", "images_per_cpu_s"),
        scan=round(timed.rows / timed.cpu_seconds, 1),
        scan_hash=round(hashed.timed[0].rows / hashed.timed[0].cpu_seconds, 1),
        query=round(settings.rows / query, -3),
        run=round(settings.rows / max(run - 2 * query, 0.2 * run), -3),
        dots=round(settings.vectors**2 / dots, -6),
        copied=round(size / copied, -6),
        table_bytes=round(timed.table_bytes / timed.rows, 1),
        run_bytes=round(run_bytes / settings.rows, 1),
        worker_bytes=round(_worker_bytes(shard), -6),
        task_ms=_recorded("ray_cluster", "ms_a_task"),
    )


def _scanned(shard: Path, scanning: ScanSettings, settings: Settings) -> Estimate:
    """The median by processor time; the first one made the index."""
    found = [estimate_scan(shard, settings=scanning) for _ in range(settings.rounds + 1)][1:]
    return sorted(found, key=lambda one: one.cpu_seconds)[len(found) // 2]


def _worker_bytes(shard: Path) -> float:
    """Memory of a process that does nothing but scan."""
    command = [sys.executable, "-c", _WORKER, str(shard)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _best(work: Callable[[], Any], settings: Settings) -> float:
    work()
    return median(_seconds(work) for _ in range(settings.rounds))


def _seconds(work: Callable[[], object]) -> float:
    """Processor time of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def _recorded(benchmark: str, key: str) -> float:
    """A figure of the newest record of another benchmark; 0 where there is none."""
    for path in sorted(_RESULTS.glob(f"{benchmark}_*.json"), reverse=True):
        for record in reversed(json.loads(path.read_text())):
            if isinstance(record.get(key), int | float):
                return float(record[key])
    return 0.0


def _key(name: str) -> str:
    return name.replace(" --", "_").replace(", ", "_").replace("-", "_")


def _told(step: Step) -> dict[str, float | None]:
    return {
        "cpu_hours": None if step.cpu_hours is None else round(step.cpu_hours, 1),
        "hours": None if step.hours is None else round(step.hours, 2),
        "read_bytes": step.read_bytes,
        "written_bytes": step.written_bytes,
        "files": round(step.files),
    }


if __name__ == "__main__":
    run_as_program(main)
