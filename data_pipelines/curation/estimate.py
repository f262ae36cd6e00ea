"""What a scan would cost, from a few of its shards that are scanned to see.

The shards are spread evenly over those that are still to be read. Cost goes with bytes: the timed
shards' processor time for a byte, times the bytes of all.
"""

import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from data_pipelines.curation.parts import note_of
from data_pipelines.curation.scan_parts import SAMPLES, located
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.scan_shard import FORMAT_VERSION, part_name, scan_shard
from data_pipelines.errors import ShardError
from data_pipelines.shards.shard_set import Shard
from data_pipelines.units import in_bytes, in_time

#: Shards that are timed.
TIMED = 3


class TimedShard(NamedTuple):
    """One shard scanned to see; seconds of processor time and of the clock."""

    bytes: int
    rows: int
    table_bytes: int
    cpu_seconds: float
    seconds: float

    @property
    def cpu_a_byte(self) -> float:
        """Seconds of processor time for one byte."""
        return self.cpu_seconds / self.bytes


class Estimate(NamedTuple):
    """What is still to be done, and what it would cost.

    Attributes:
        num_shards: of all.
        num_done: whose part of the table is there already.
        num_bytes: of the others.
        timed: those that were scanned to see.
        workers: processes.
        peak_bytes: memory of the process that timed them.
    """

    num_shards: int
    num_done: int
    num_bytes: int
    timed: tuple[TimedShard, ...]
    workers: int
    peak_bytes: int

    @property
    def scale(self) -> float:
        """Bytes to read, over those of the timed shards."""
        return self.num_bytes / sum(one.bytes for one in self.timed)

    @property
    def cpu_seconds(self) -> float:
        """Processor time in all."""
        return self.scale * sum(one.cpu_seconds for one in self.timed)

    @property
    def cpu_range(self) -> tuple[float, float]:
        """Processor time if all shards were as the cheapest, the dearest of the timed ones."""
        rates = [one.cpu_a_byte for one in self.timed]
        return self.num_bytes * min(rates), self.num_bytes * max(rates)

    @property
    def num_samples(self) -> float:
        """About as many."""
        return self.scale * sum(one.rows for one in self.timed)

    @property
    def table_bytes(self) -> float:
        """Of the parts that would be written."""
        return self.scale * sum(one.table_bytes for one in self.timed)

    @property
    def seconds(self) -> float:
        """By the clock, if every worker has a core and the storage keeps up."""
        used = min(self.workers, self.num_shards - self.num_done)
        return self.scale * sum(one.seconds for one in self.timed) / used

    def told(self) -> dict[str, str]:
        """For people, by what it is about."""
        done = f", {self.num_done:,} of them scanned already" if self.num_done else ""
        found = {"shards": f"{self.num_shards:,}{done}"}
        if not self.timed:
            return found
        least, most = map(in_time, self.cpu_range)
        rate = self.num_samples / self.cpu_seconds
        speed = self.num_bytes / self.seconds
        return found | {
            "samples": f"about {self.num_samples:,.0f}",
            "read": in_bytes(self.num_bytes),
            "CPU": f"{in_time(self.cpu_seconds)} ({least} to {most} by the cheapest and the "
            f"dearest of {len(self.timed)} timed shards); {rate:,.0f} samples a second of a core",
            "time": f"{in_time(self.seconds)} with {self.workers} of --workers, if each has a core "
            f"and storage gives {in_bytes(speed)} a second",
            "written": f"{in_bytes(self.table_bytes)} in {self.num_shards - self.num_done:,} files",
            "memory": f"about {in_bytes(self.peak_bytes)} a worker",
        }


def estimate_scan(
    paths: str | Path | Iterable[str | Path],
    *,
    settings: ScanSettings,
    out_dir: Path | None = None,
    workers: int = 1,
    progress: Callable[[Sequence[Shard]], Iterable[Any]] = iter,
) -> Estimate:
    """Scan a few shards into a folder that is removed, and reckon what the others would cost.

    Args:
        settings, out_dir, workers: of the scan.
        progress: wraps the shards that are timed.
    Raises:
        ShardError: there are no shards, or one that was to be timed cannot be read.
    """
    shards, folder = located(paths, out_dir)
    left = [path for path in shards if not _is_done(path, folder / SAMPLES, settings)]
    count = min(TIMED, len(left))
    chosen = [left[(2 * i + 1) * len(left) // (2 * count)] for i in range(count)]
    timed = tuple(_timed(path, settings) for path in progress(chosen))
    return Estimate(
        num_shards=len(shards),
        num_done=len(shards) - len(left),
        num_bytes=sum(map(_size, left)),
        timed=timed,
        workers=workers,
        peak_bytes=_peak(),
    )


def _is_done(shard: Shard, folder: Path, settings: ScanSettings) -> bool:
    """Whether its part is there, as far as can be told without reading the shard."""
    part = folder / part_name(shard)
    note = note_of(part)
    if note is None or not _is_of_now(note, part, shard):
        return False
    return (note.get("format_version"), note.get("settings")) == (
        FORMAT_VERSION,
        settings.identity(),
    )


def _timed(shard: Shard, settings: ScanSettings) -> TimedShard:
    with TemporaryDirectory() as folder:
        cpu, wall = time.process_time(), time.perf_counter()
        found = scan_shard(shard, Path(folder), settings)
        if found.error:
            raise ShardError(f"{found.error}; mend it, or name the shards without it")
        return TimedShard(
            bytes=_size(shard),
            rows=found.rows,
            table_bytes=found.bytes,
            cpu_seconds=time.process_time() - cpu,
            seconds=time.perf_counter() - wall,
        )


def _peak() -> int:
    """Memory of this process at its most."""
    with suppress(OSError, ValueError):
        # what getrusage says began with the memory of the process that started this one
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _size(shard: Shard) -> int:
    return shard.stat().st_size if isinstance(shard, Path) else shard.stamp.size


def _is_of_now(note: Mapping[str, Any], part: Path, shard: Shard) -> bool:
    if not isinstance(shard, Path):
        return note.get("version") == list(shard.stamp)
    return part.stat().st_mtime_ns >= shard.stat().st_mtime_ns
