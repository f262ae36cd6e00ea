"""Does curation account for every sample, also where it is killed on the way?

Made-up shards with every kind of fault are scanned and filtered once without interruption. Then the
same is done again and again in a process of its own that is killed (SIGKILL) at a random moment,
finished by another one, and compared byte by byte; and once more with four workers. Every sample of
the shards must be kept or dropped once. How long the fate of one sample takes to find is measured
on a run over a large made-up table, imports left out.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

from pyarrow import parquet

from benchmarks.support.curation_tables import made_up_table, write_shards
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.curation.recipe import load_recipe
from data_pipelines.curation.run import run_recipe
from data_pipelines.curation.run_files import KEPT_NAME, LINEAGE
from data_pipelines.curation.scan import scan
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.table import open_table
from data_pipelines.curation.why import why
from data_pipelines.errors import UserError
from data_pipelines.shards.index import ShardIndex

_RECIPE = """
[[stage]]
filter = "datacomp-basic"
gate = "image-based"
language = ""

[[stage]]
filter = "exact-duplicates"

[[stage]]
filter = "near-duplicates"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``rows`` of the large table; ``asked`` samples of it."""

    shards: int
    samples: int
    kills: int
    rows: int
    asked: int
    seed: int


def main() -> int:
    """Measure and report; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, default=12)
    parser.add_argument("--samples", type=int, default=400, help="of a shard")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rows", type=int, default=2_000_000, help="of the large table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="small shards, 3 kills, 50,000 rows")
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    args = parser.parse_args()
    settings = Settings(
        shards=4 if args.quick else args.shards,
        samples=60 if args.quick else args.samples,
        kills=3 if args.quick else args.kills,
        rows=50_000 if args.quick else args.rows,
        asked=50,
        seed=args.seed,
    )
    environment = describe()
    with TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(work / "cache")
        figures = {**_killed(work, settings), **_asked(work, settings)}
    figures["uids"] = figures.pop("uids_small") + figures.pop("uids_large")
    figures["unaccounted"] = figures.pop("unaccounted_small") + figures.pop("unaccounted_large")
    for name, value in figures.items():
        print(f"  {name:24} {value}")
    finish("curation_lineage", figures, environment, config=asdict(settings), save=args.save)
    return 0


def _killed(work: Path, settings: Settings) -> dict[str, int | float | bool]:
    """What kills and workers change."""
    shards, recipe = work / "shards", work / "recipe.toml"
    write_shards(shards, shards=settings.shards, samples=settings.samples, seed=settings.seed)
    recipe.write_text(_RECIPE)
    start = time.perf_counter()
    _finished(shards, recipe, work / "whole", workers=1)
    seconds = time.perf_counter() - start
    whole = _files(work / "whole")
    rng = Random(settings.seed)
    kills = identical = too_late = 0
    while kills < settings.kills:
        out = work / f"killed-{kills}-{too_late}"
        child = _start(shards, recipe, out, workers=1)
        time.sleep(rng.random() * seconds)
        if child.is_alive():
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            kills += 1
            _finished(shards, recipe, out, workers=1)
            identical += _files(out) == whole
            print(f"kill {kills}: identical {identical}", file=sys.stderr, flush=True)
        else:
            child.join()
            too_late += 1
    scan(shards, settings=ScanSettings(phash="scaled"), out_dir=work / "four/table", workers=4)
    run_recipe(load_recipe(str(recipe)), open_table(work / "four/table"), work / "four/run")
    expected = {
        (path.name, row)
        for path in sorted(shards.glob("*.tar"))
        for row in range(len(ShardIndex.open(path)))
    }
    return {
        "uids_small": len(expected),
        "unaccounted_small": _unaccounted(work / "whole/run", expected),
        "kills": kills,
        "identical_after_kill": identical,
        "workers_identical": _files(work / "four") == whole,
        "seconds_whole": round(seconds, 2),
    }


def _asked(work: Path, settings: Settings) -> dict[str, int | float]:
    """How long the fate of one sample takes to find."""
    table = made_up_table(work / "large", rows=settings.rows, seed=settings.seed)
    run_recipe(load_recipe("datacomp-basic"), table, work / "large-run", threads=1)
    expected = {(part.shard, row) for part in table.parts for row in range(part.rows)}
    uids = parquet.read_table(table.parts[-1].path, columns=["uid"])["uid"].to_pylist()
    times = []
    for uid in Random(settings.seed).sample(uids, settings.asked):
        start = time.perf_counter()
        why(uid, work / "large-run")
        times.append(1000 * (time.perf_counter() - start))
    return {
        "uids_large": settings.rows,
        "unaccounted_large": _unaccounted(work / "large-run", expected),
        "why_ms": round(median(times), 1),
        "why_ms_worst": round(max(times), 1),
    }


def _start(shards: Path, recipe: Path, out: Path, *, workers: int) -> "multiprocessing.Process":
    # Forked: a kill then falls into the work, not into imports.
    process = multiprocessing.get_context("fork").Process(
        target=_work, args=(shards, recipe, out, workers)
    )
    process.start()
    return process  # type: ignore[return-value]


def _finished(shards: Path, recipe: Path, out: Path, *, workers: int) -> None:
    process = _start(shards, recipe, out, workers=workers)
    process.join()
    if process.exitcode:
        raise UserError(f"the scan or run in {out} ended with code {process.exitcode}")


def _work(shards: Path, recipe: Path, out: Path, workers: int) -> None:
    scan(shards, settings=ScanSettings(phash="scaled"), out_dir=out / "table", workers=workers)
    run_recipe(load_recipe(str(recipe)), open_table(out / "table"), out / "run", threads=1)


def _files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _unaccounted(run: Path, expected: set[tuple[str, int]]) -> int:
    """Samples that are not in the lineage once, or whose fate is not that of ``kept.parquet``."""
    kept = parquet.read_table(run / KEPT_NAME, columns=["shard", "row"])
    fates = parquet.read_table(run / LINEAGE, columns=["shard", "row", "stage"])
    counts = Counter(zip(fates["shard"].to_pylist(), fates["row"].to_pylist(), strict=True))
    passed = {
        (shard, row)
        for shard, row, stage in zip(
            *(fates[name].to_pylist() for name in fates.column_names), strict=True
        )
        if stage is None
    }
    written = Counter(zip(kept["shard"].to_pylist(), kept["row"].to_pylist(), strict=True))
    wrong = {one for one in expected | counts.keys() if counts[one] != 1 or one not in expected}
    differing = {one for one in passed | written.keys() if written[one] != (one in passed)}
    return len(wrong | differing)


if __name__ == "__main__":
    run_as_program(main)
