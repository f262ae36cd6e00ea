"""How many pictures does one core fetch, scale and store from a list of URLs, beside img2dataset?

Both ask the same server on loopback for the same pictures, in one process with as many requests at
once: 256 pixels with a white border, JPEG 95, SHA-256. Only the processor time of the client
counts, with all its processes; a short list of the same pictures tells what starting takes. Ours
asks robots.txt, tests headers before it decodes and keeps the order of the list; the stored
pictures of both are compared.
"""

import argparse
import io
import json
import os
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from subprocess import DEVNULL, STDOUT, Popen
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.peers import img2dataset
from benchmarks.support.data_folder import file_named
from benchmarks.support.environment import describe
from benchmarks.support.loopback_pictures import serving
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import BenchmarkError, work_folder
from data_pipelines.shards.index import ShardIndex

_SHARD = "imagenet-samples-000000.tar"
_SHORT = 32  # rows of the list that tells what starting takes


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``rows`` of the long list; ``requests`` at once."""

    rows: int
    requests: int
    rounds: int
    seed: int


class Cost(NamedTuple):
    """Seconds of a finished command; ``cpu`` of all its processes."""

    cpu: float
    wall: float


def main() -> int:
    """Measure and report; returns the exit code."""
    args = _parse()
    settings = Settings(
        rows=200 if args.quick else args.rows,
        requests=args.requests,
        rounds=1 if args.quick else args.rounds,
        seed=args.seed,
    )
    environment = describe()
    shard = file_named(args.shard, _SHARD, option="SHARD")
    peer = img2dataset.prepare_environment(args.peer_env)
    with work_folder("ingest-speed", parent=args.work) as work:
        os.environ["XDG_CACHE_HOME"] = str(work / "cache")
        pictures = _pictures(shard, work / "pictures", seed=settings.seed)
        with serving(work / "pictures") as address:
            lists = {n: _list(work / f"{n}.txt", address, n) for n in (_SHORT, settings.rows)}
            figures = {"kb": round(pictures / 1e3, 1), **_compared(lists, work, peer, settings)}
    for name, value in figures.items():
        print(f"  {name:28} {value}")
    config = {**asdict(settings), "peer": peer.versions()}
    finish("ingest_speed", figures, environment, config=config, save=args.save)
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "shard", nargs="?", type=Path, help=f"of JPEGs (default: {_SHARD} of the data folder)"
    )
    parser.add_argument("--rows", type=int, default=4_000, help="of the long list")
    parser.add_argument("--requests", type=int, default=32, help="under way at once")
    parser.add_argument("--rounds", type=int, default=5, help="of both sides, in turn")
    parser.add_argument("--peer-env", type=Path, help="environment of img2dataset")
    parser.add_argument("--work", type=Path, help="folder for lists and shards")
    parser.add_argument("--seed", type=int, default=0, help="order of the pictures")
    parser.add_argument("--quick", action="store_true", help="200 rows, 1 round")
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    return parser.parse_args()


def _compared(
    lists: dict[int, Path],
    work: Path,
    peer: img2dataset.PeerEnvironment,
    settings: Settings,
) -> dict[str, float]:
    """Rates beyond the start, start-up times, and how far the stored pictures are apart."""
    sides = {
        "": lambda urls, out: _our_command(urls, out, settings.requests),
        "peer_": lambda urls, out: img2dataset.command(peer, urls, out, threads=settings.requests),
    }
    costs: dict[tuple[str, int], list[Cost]] = {}
    for turn in range(settings.rounds):
        for side, command in sides.items():
            for rows, urls in lists.items():
                out = work / f"{side}{rows}-{turn}"
                costs.setdefault((side, rows), []).append(_run(command(urls, out), out))
    figures: dict[str, float] = {}
    for side in sides:
        short, long = (costs[side, rows] for rows in lists)
        begun = median(one.cpu for one in short)
        each = (median(one.cpu for one in long) - begun) / (settings.rows - _SHORT)
        walls = [one.wall for one in long]
        figures |= {
            f"{side}images_per_cpu_s": round(1 / each, 1),
            f"{side}images_per_cpu_s_with_start": round(
                settings.rows / median(one.cpu for one in long), 1
            ),
            f"{side}start_cpu_s": round(begun - _SHORT * each, 2),
            f"{side}start_wall_s": round(min(one.wall for one in short), 2),
            f"{side}images_per_wall_s": round(settings.rows / median(walls), 1),
        }
    figures["ratio"] = round(figures["images_per_cpu_s"] / figures["peer_images_per_cpu_s"], 2)
    stored = [_stored(work / f"{side}{settings.rows}-0") for side in sides]
    if len(stored[0]) != settings.rows or len(stored[1]) != settings.rows:
        raise BenchmarkError(
            f"{len(stored[0])} and {len(stored[1])} of {settings.rows} pictures were stored; the "
            "sides did not do the same work"
        )
    apart = [_apart(stored[0][url], stored[1][url]) for url in list(stored[0])[:100]]
    figures["mean_pixel_difference"] = round(float(np.mean(apart)), 2)
    return figures


def _our_command(urls: Path, out: Path, requests: int) -> list[str]:
    return [
        *(sys.executable, "-m", "vlsuite", "data", "ingest", str(urls), "--out", str(out)),
        *("--image-size", "256", "--resize-mode", "border", "--no-resize-only-if-bigger"),
        *("--allow-private", "--host-rate", "0"),
        *("--host-connections", str(requests), "--connections", str(requests)),
    ]


def _run(command: Sequence[str], out: Path) -> Cost:
    """Seconds of a command and of all processes that it waited for."""
    log = out.with_suffix(".log")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    with log.open("wb") as stream:
        start = time.perf_counter()
        process = Popen(command, stdin=DEVNULL, stdout=stream, stderr=STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise BenchmarkError(f"{Path(command[0]).name} failed: {last[0][:200]} (see {log})")
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - start)


def _pictures(shard: Path, folder: Path, *, seed: int) -> float:
    """The JPEGs of a shard as files; their mean size in bytes."""
    index = ShardIndex.open(shard)
    found = [data for i in range(len(index)) if (data := index.read(i).get("jpg"))]
    folder.mkdir()
    for number, which in enumerate(np.random.default_rng(seed).permutation(len(found))):
        (folder / f"{number:06d}.jpg").write_bytes(found[which])
    return sum(map(len, found)) / len(found)


def _list(path: Path, address: str, rows: int) -> Path:
    path.write_text("".join(f"{address}/{number}.jpg\n" for number in range(rows)))
    return path


def _stored(out: Path) -> dict[str, bytes]:
    """Stored pictures by the number in their address, of either side."""
    found: dict[str, bytes] = {}
    for path in sorted(out.glob("*.tar")):
        with tarfile.open(path) as tar:
            image = b""
            for member in tar:
                stream = tar.extractfile(member)
                data = stream.read() if stream else b""
                if member.name.endswith(".jpg"):
                    image = data
                elif member.name.endswith(".json"):
                    found[json.loads(data)["url"]] = image
    return found


def _apart(one: bytes, other: bytes) -> float:
    pixels = [
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32)
        for data in (one, other)
    ]
    return float(np.abs(pixels[0] - pixels[1]).mean())


if __name__ == "__main__":
    run_as_program(main)
