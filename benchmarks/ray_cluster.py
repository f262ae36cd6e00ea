"""Does curation on a Ray cluster survive the death of a node, with the bytes of the local pool?

A real cluster of two nodes with one processor each is started on this machine, and made-up shards
are scanned on it. While both nodes work, the raylet of the second one is killed (SIGKILL); the
tasks it was at have to be done by the first. Then a new node joins, for the next round. The tables
are compared byte by byte with that of the local pool of processes, and with that of an array of
jobs (--rank and --world) that was merged. Recovery is counted from the kill to the result of the
last task that died with the node.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.support.curation_tables import write_shards
from benchmarks.support.environment import describe
from benchmarks.support.lone_files import left_alone
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.curation.scan import merge_shares, scan, scan_share
from data_pipelines.curation.scan_parts import SAMPLES
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.errors import ConfigError
from data_pipelines.workers.ray_tasks import keep_quiet
from data_pipelines.workers.share import Share
from data_pipelines.workers.spread import Finished

_SCAN = ScanSettings(phash="full", decode=True)
_EMPTY_TASKS = 300
_RANKS = 3
_STORE_BYTES = 80_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``samples`` of a shard; a node is killed in each of ``rounds`` scans."""

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
    parser.add_argument("--rounds", type=int, default=3, help="scans, with a node killed in each")
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
        figures = {**_without_ray(work), **_on_cluster(work, settings)}
    for name, value in figures.items():
        print(f"  {name:24} {value}")
    finish("ray_cluster", figures, environment, config=asdict(settings), save=args.save)
    return 0


def _without_ray(work: Path) -> dict[str, Any]:
    """The tables that the cluster's are compared with."""
    start = time.perf_counter()
    scan(work / "shards", settings=_SCAN, out_dir=work / "local", workers=2)
    seconds = time.perf_counter() - start
    for rank in reversed(range(_RANKS)):
        share = Share(rank=rank, world=_RANKS)
        scan_share(work / "shards", settings=_SCAN, out_dir=work / "array", share=share)
    merge_shares(work / "shards", settings=_SCAN, out_dir=work / "array")
    return {
        "local_pool_s": round(seconds, 1),
        "array_identical": _files(work / "array") == _files(work / "local"),
    }


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
    try:
        ray.init(address=cluster.address, logging_level=logging.ERROR, log_to_driver=False)
        rounds = [_Round(cluster, own, work, number) for number in range(settings.rounds)]
        started = 0.0
        for one in rounds:
            one.join()
            started = started or time.perf_counter() - start
            one.scan()
        task_ms = _task_ms(ray)
    finally:
        ray.shutdown()
        cluster.shutdown()
    expected = _files(work / "local")
    recovered = [one.recovered_s for one in rounds if one.recovered_s is not None]
    return {
        "rounds": settings.rounds,
        "tasks": settings.shards * settings.rounds,
        "tasks_finished": sum(one.finished for one in rounds),
        "nodes_killed": sum(one.killed_at is not None for one in rounds),
        "tasks_lost_with_node": sum(len(one.lost) for one in rounds),
        "recovered_s": round(median(recovered), 1) if recovered else None,
        "recovered_s_worst": round(max(recovered), 1) if recovered else None,
        "identical": sum(_files(one.out) == expected for one in rounds),
        "cluster_start_s": round(started, 1),
        "scan_s": round(median(one.seconds for one in rounds), 1),
        "ms_a_task": round(task_ms, 2),
    }


class _Round:
    """One scan on both nodes, of which the second is killed on the way."""

    def __init__(self, cluster: Any, own: dict[str, Any], work: Path, number: int) -> None:
        self._cluster, self._own, self._work = cluster, own, work
        self.out = work / f"cluster-{number}"
        self.finished = 0
        self.seconds = 0.0
        self.killed_at: float | None = None
        self.lost: set[str] = set()
        self.recovered_s: float | None = None

    def join(self) -> None:
        """Start the node that will die."""
        self._node = self._cluster.add_node(**self._own)
        self._cluster.wait_for_nodes()

    def scan(self) -> None:
        """Scan all shards."""
        start = time.perf_counter()
        scan(
            self._work / "shards",
            settings=_SCAN,
            out_dir=self.out,
            ray=self._cluster.address,
            progress=self._watched,
        )
        self.seconds = time.perf_counter() - start

    def _watched(self, work: Iterable[Finished]) -> Iterator[Finished]:
        """Kills the node in the midst of the work, and sees when its tasks come back."""
        for one in work:
            self.finished += 1
            part = one.result.part
            if self.killed_at is not None and part in self.lost:
                self.recovered_s = time.perf_counter() - self.killed_at
            yield one
            if self.killed_at is None and self.finished >= 2:
                self._kill()

    def _kill(self) -> None:
        folder = self.out / SAMPLES
        before = left_alone(folder)
        end = time.perf_counter() + 20
        while len(_unfinished(folder)) < 2 and time.perf_counter() < end:
            time.sleep(0.01)  # until both nodes are amid a shard
        self.killed_at = time.perf_counter()
        self._cluster.remove_node(self._node, allow_graceful=False)
        while not self.lost and time.perf_counter() < self.killed_at + 10:
            time.sleep(0.1)
            self.lost = left_alone(folder) - before
        print(f"killed a node amid {sorted(self.lost)}", file=sys.stderr, flush=True)


def _task_ms(ray: Any) -> float:
    """Of a task that does nothing."""
    nothing = ray.remote(num_cpus=1)(lambda number: number)
    ray.get([nothing.remote(number) for number in range(20)])
    start = time.perf_counter()
    ray.get([nothing.remote(number) for number in range(_EMPTY_TASKS)])
    return 1000 * (time.perf_counter() - start) / _EMPTY_TASKS


def _unfinished(folder: Path) -> list[Path]:
    return list(folder.glob(".*.unfinished"))


def _files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, but what a killed writer left (the next scan removes it)."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".unfinished")
    }


if __name__ == "__main__":
    run_as_program(main)
