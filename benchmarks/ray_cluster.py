"""Does curation on a Ray cluster survive the death of a node, with the bytes of a local run?

A real cluster of two nodes with one processor each is started on this machine. On it made-up shards
are scanned, scored and embedded by a small dual encoder of random weights, and the samples of a
subset are written anew (``curate scan``, ``score``, ``embed``, ``reshard``). While both nodes work,
the raylet of the second one is killed (SIGKILL); the tasks it was at have to be done by the first.
Then a new node joins, for the next piece of work. All that was written is compared byte by byte
with what this machine wrote without Ray, and with the table of an array of jobs (--rank and
--world) that was merged. Recovery is counted from the kill to the result of the last task that died
with the node; scores, vectors and new shards show no file before they are finished, so that only
the processes that died at a task are counted there.
"""

import argparse
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow import parquet

from benchmarks.support.curation_tables import write_shards
from benchmarks.support.dying_node import DyingNode
from benchmarks.support.environment import describe
from benchmarks.support.models import export_untrained
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.curation.scan import merge_shares, scan, scan_share
from data_pipelines.curation.scan_parts import SAMPLES
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.table import open_table
from data_pipelines.errors import ConfigError
from data_pipelines.subsets.making import make_subset
from data_pipelines.subsets.pool import open_pool
from data_pipelines.subsets.reshard import reshard
from data_pipelines.subsets.subset_file import read_subset, write_subset
from data_pipelines.workers.ray_tasks import keep_quiet
from data_pipelines.workers.share import Share
from data_pipelines.workers.spread import Workers
from vlsuite.models.embed_shards import embed_shards
from vlsuite.models.embedding import PairEmbedder
from vlsuite.models.opening import open_model
from vlsuite.models.part_tasks import ModelCluster
from vlsuite.models.score_shards import score_shards
from vlsuite.models.scorers.cosine import CosineScorer, CosineSettings

_SCAN = ScanSettings(phash="full", decode=True)
_ARCHITECTURE = "vlsuite-mini-48"
_EMPTY_TASKS = 300
_RANKS = 3
_STORE_BYTES = 80_000_000
_KEEP_EVERY = 2  # of this many samples, one goes into the subset
_TAKEN = 60_000  # samples of the subset at least, each several times: so that a task takes seconds
_BATCH = 64

_Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``samples`` of a shard; a node is killed in each piece of work of each of ``rounds``."""

    shards: int
    samples: int
    rounds: int
    seed: int


def main() -> int:
    """Measure and report; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, default=24)
    parser.add_argument("--samples", type=int, default=1000, help="of a shard")
    parser.add_argument(
        "--rounds", type=int, default=3, help="of all four, with a node killed in each"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="8 small shards, 1 round")
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    args = parser.parse_args()
    settings = Settings(
        shards=8 if args.quick else args.shards,
        samples=400 if args.quick else args.samples,
        rounds=1 if args.quick else args.rounds,
        seed=args.seed,
    )
    environment = describe()
    with TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(work / "cache")
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        # 15 by itself, which is not that of the local pool
        os.environ.update({"RAY_worker_niceness": "0"})
        write_shards(
            work / "shards", shards=settings.shards, samples=settings.samples, seed=settings.seed
        )
        export_untrained(work / "model", settings.seed, architecture=_ARCHITECTURE)
        figures = {**_without_ray(work, settings), **_on_cluster(work, settings)}
    for name, value in figures.items():
        print(f"  {name:24} {value}")
    finish("ray_cluster", figures, environment, config=asdict(settings), save=args.save)
    return 0


class _Place(NamedTuple):
    """Where a piece of work is done: into which folder, by whom (empty: this machine)."""

    work: Path
    out: Path
    ray: str = ""
    progress: _Progress = iter

    @property
    def shards(self) -> list[str]:
        """What is read."""
        return [str(self.work / "shards")]


def _scanned(place: _Place) -> None:
    scan(
        place.shards,
        settings=_SCAN,
        out_dir=place.out,
        workers=2,
        ray=place.ray,
        progress=place.progress,
    )


def _scored(place: _Place) -> None:
    cluster = _model_cluster(place, CosineSettings())
    scorer = CosineScorer(_opened(place))
    table = open_table(place.out)
    score_shards(
        scorer,
        place.shards,
        table,
        name="clip",
        batch_size=_BATCH,
        cluster=cluster,
        progress=place.progress,
    )


def _embedded(place: _Place) -> None:
    embed_shards(
        _opened(place),
        place.shards,
        open_table(place.out),
        name="clip",
        batch_size=_BATCH,
        cluster=_model_cluster(place),
        progress=place.progress,
    )


def _resharded(place: _Place) -> None:
    pool, file = open_pool(place.shards), place.work / "some.subset"
    subset = read_subset(file)
    reshard(
        pool,
        subset,
        place.out / "shards",
        name=file.name,
        max_samples=-(-subset.num_taken // len(pool.shards)),
        workers=Workers(processes=2, ray=place.ray),
        progress=place.progress,
    )


#: What is done, by the name of the command; the scan comes first, for the others need its table.
_ACTIONS: dict[str, Callable[[_Place], None]] = {
    "scan": _scanned,
    "score": _scored,
    "embed": _embedded,
    "reshard": _resharded,
}


def _opened(place: _Place) -> PairEmbedder:
    model = open_model(str(place.work / "model"), device="cpu")
    assert isinstance(model, PairEmbedder), "a dual encoder was exported"
    return model


def _model_cluster(place: _Place, scorer: CosineSettings | None = None) -> ModelCluster | None:
    if not place.ray:
        return None
    return ModelCluster(address=place.ray, model=str(place.work / "model"), scorer=scorer)


def _without_ray(work: Path, settings: Settings) -> dict[str, Any]:
    """What the cluster's files are compared with."""
    local, seconds = _Place(work, work / "local"), {}
    for name, action in _ACTIONS.items():
        if name == "reshard":
            _choose(work)
        start = time.perf_counter()
        action(local)
        seconds[name] = round(time.perf_counter() - start, 1)
    for rank in reversed(range(_RANKS)):
        share = Share(rank=rank, world=_RANKS)
        scan_share(work / "shards", settings=_SCAN, out_dir=work / "array", share=share)
    merge_shares(work / "shards", settings=_SCAN, out_dir=work / "array")
    table, array = _files(work / "local"), _files(work / "array")
    return {
        "local_pool_s": seconds["scan"],
        "local_s": seconds,
        "array_identical": all(table[name] == content for name, content in array.items()),
    }


def _choose(work: Path) -> None:
    """Some samples of each shard of the scan, as a subset."""
    kept = [
        {**row, "shard": part.shard}
        for part in open_table(work / "local").parts
        for row in parquet.read_table(part.path, columns=["uid", "row"]).to_pylist()[::_KEEP_EVERY]
    ]
    times = -(-_TAKEN // len(kept))
    taken = [row for row in kept for _ in range(times)]
    parquet.write_table(pa.Table.from_pylist(taken), work / "kept.parquet")
    made = make_subset(open_pool([str(work / "shards")]), work / "kept.parquet")
    write_subset(made.subset, work / "some.subset")


def _on_cluster(work: Path, settings: Settings) -> dict[str, Any]:
    try:
        import ray
        from ray.cluster_utils import Cluster
    except ImportError as error:
        raise ConfigError("this needs Ray: pip install 'vlsuite[ray]'") from error
    keep_quiet(ray)
    start = time.perf_counter()
    own: dict[str, Any] = {"num_cpus": 1, "object_store_memory": _STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**own, "include_dashboard": False})
    runs: dict[str, list[_Run]] = {name: [] for name in _ACTIONS}
    try:
        ray.init(address=cluster.address, logging_level=logging.ERROR, log_to_driver=False)
        started = time.perf_counter() - start
        for number in range(settings.rounds):
            out = work / f"cluster-{number}"
            for name, action in _ACTIONS.items():
                parts = out / SAMPLES if name == "scan" else None
                node = DyingNode(cluster, own, parts)
                begin = time.perf_counter()
                action(_Place(work, out, str(cluster.address), node.watched))
                runs[name].append(_Run(node, out, time.perf_counter() - begin))
        task_ms = _task_ms(ray)
    finally:
        ray.shutdown()
        cluster.shutdown()
    expected = _files(work / "local")
    found = {name: _told(name, own_runs, expected) for name, own_runs in runs.items()}
    return {
        "rounds": settings.rounds,
        **found.pop("scan"),
        **found,
        "cluster_start_s": round(started, 1),
        "ms_a_task": round(task_ms, 2),
    }


class _Run(NamedTuple):
    """A piece of work on both nodes, of which the second was killed on the way."""

    node: DyingNode
    out: Path
    seconds: float


#: Where in the folder of a table each command writes.
_WRITES = {"scan": (SAMPLES, "table.json"), "score": ("scores",), "embed": ("vectors",),
           "reshard": ("shards",)}  # fmt: skip


def _told(name: str, runs: list[_Run], expected: dict[str, bytes]) -> dict[str, Any]:
    """Figures of one command over all rounds."""
    recovered = [run.node.recovered_s for run in runs if run.node.recovered_s is not None]
    wanted = _below(expected, _WRITES[name])
    found = {
        "tasks": sum(run.node.tasks for run in runs),
        "tasks_finished": sum(run.node.finished for run in runs),
        "nodes_killed": sum(run.node.is_killed for run in runs),
        "tasks_lost_with_node": sum(run.node.lost for run in runs),
        "identical": sum(_below(_files(run.out), _WRITES[name]) == wanted for run in runs),
        "files": len(wanted),
        f"{name}_s": round(median(run.seconds for run in runs), 1),
    }
    if recovered:
        found |= {
            "recovered_s": round(median(recovered), 1),
            "recovered_s_worst": round(max(recovered), 1),
        }
    return found


def _below(files: dict[str, bytes], places: tuple[str, ...]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name.startswith(places)}


def _task_ms(ray: Any) -> float:
    """Of a task that does nothing."""
    nothing = ray.remote(num_cpus=1)(lambda number: number)
    ray.get([nothing.remote(number) for number in range(20)])
    start = time.perf_counter()
    ray.get([nothing.remote(number) for number in range(_EMPTY_TASKS)])
    return 1000 * (time.perf_counter() - start) / _EMPTY_TASKS


def _files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, but what a killed writer left (the next call removes it)."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".unfinished")
    }


if __name__ == "__main__":
    run_as_program(main)
