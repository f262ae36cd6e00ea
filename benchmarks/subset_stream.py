"""Does training on a subset see each of its samples once an epoch, and what does a subset cost?

Exactly once: 1, 2 and 4 processes read an epoch and a half of a subset drawn at random, and one
process is killed (SIGKILL) at random moments and goes on from its last whole batch; what was read
is held against the set of chosen names, by plain set arithmetic. Cost: bytes of the file for each
sample of the pool; seconds (and processor time) of a fresh process from the settings to its first
batch at ten million pool samples, imports not counted; memory of the writer: of remembering which
ids were met, as 'vlsuite data build' does, at one and ten million, beside a Python set, and of
resharding as a whole. The shards are hard links of one real tar, so that ten million samples fit
on a disk; samples are handed on undecoded.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.environment import describe
from benchmarks.support.report import finish

_BATCH = 64
_KEPT_SHARE = 0.3


def main() -> None:
    """Run the benchmark."""
    args = _parse()
    if args.first_in:
        print(json.dumps(_first_batch(args)))
        return
    environment = describe()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        os.environ["XDG_CACHE_HOME"] = str(Path(name) / "cache")
        results = _exactly_once(Path(name) / "small", args)
        results |= _cost(Path(name) / "large", args)
        results |= _memory(Path(name), args)
    finish(
        "subset_stream",
        results,
        environment,
        config={
            "samples": args.samples,
            "kept_share": _KEPT_SHARE,
            "read_samples": args.read_samples,
            "batch": _BATCH,
            "ids": args.ids,
            "resharded": args.resharded,
            "seed": args.seed,
        },
        save=args.save,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.subset_stream",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", help="where to make the sets; default the temporary folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a million samples, about a minute")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    parser.add_argument("--first-in", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.samples, args.per_shard, args.kills = 10_000_000, 10_000, 5
    args.read_samples, args.ids, args.resharded = 20_000, [1_000_000, 10_000_000], [20_000, 100_000]
    if args.quick:
        args.samples, args.kills = 1_000_000, 2
        args.read_samples, args.ids, args.resharded = 4_000, [200_000, 1_000_000], [5_000, 20_000]
    return args


def _exactly_once(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.support.subset_sets import choose, make_set, uids_of
    from data_pipelines.subsets.pool import open_pool
    from data_pipelines.subsets.subset_file import write_subset

    num_shards = 20
    shards = make_set(
        folder, num_shards=num_shards, per_shard=args.read_samples // num_shards, seed=args.seed
    )
    pool = open_pool([str(shards)])
    count = int(_KEPT_SHARE * pool.num_samples) // _BATCH * _BATCH
    subset = choose(pool, count, seed=args.seed)
    file = folder / "chosen.subset"
    write_subset(subset, file)
    wanted = uids_of(shards, subset)
    steps = count // _BATCH
    found: dict[str, Any] = {"uids": len(wanted)}
    for world_size in (1, 2, 4):
        _say(f"reading {steps * 3 // 2:,} batches in {world_size} processes")
        read = [
            _in_process(_read, shards, file, rank, world_size, steps * 3 // 2, args.seed)
            for rank in range(world_size)
        ]
        joined = [[uid for part in step for uid in part] for step in zip(*read, strict=True)]
        found[f"once_in_{world_size}"] = _is_once(joined, wanted, steps)
    _say(f"killing a reader {args.kills} times")
    joined = _killed(shards, file, folder / "log", steps * 3 // 2, args)
    found["once_after_kills"] = _is_once(joined, wanted, steps)
    print(
        f"{len(wanted):,} chosen of {pool.num_samples:,}: each once an epoch in 1, 2, 4 processes "
        f"and after {args.kills} kills: {[v for k, v in found.items() if k.startswith('once')]}"
    )
    return found | {"kills": args.kills}


def _is_once(steps: list[list[str]], wanted: set[str], epoch: int) -> bool:
    """Each once in the first epoch, none twice in the half that follows, and no others."""
    first = Counter(uid for step in steps[:epoch] for uid in step)
    after = Counter(uid for step in steps[epoch:] for uid in step)
    return (
        first == dict.fromkeys(wanted, 1)
        and after.keys() <= wanted
        and set(after.values()) == {1}
        and len(steps) == epoch * 3 // 2
    )


def _read(
    shards: Path, file: Path, rank: int, world_size: int, steps: int, seed: int
) -> list[list[str]]:
    from benchmarks.support.subset_sets import stream

    source = stream(
        shards, file, rank=rank, world_size=world_size, batch=_BATCH, workers=0, seed=seed
    )
    return [
        [uid for batch in step for uid in batch.uids]
        for step in islice(source.from_position(0), steps)
    ]


def _killed(
    shards: Path, file: Path, log: Path, steps: int, args: argparse.Namespace
) -> list[list[str]]:
    """What a reader has noted that is killed at random and goes on each time."""
    drawn = random.Random(args.seed)
    context = multiprocessing.get_context("fork")
    log.touch()
    for number in range(args.kills + 1):
        reader = context.Process(target=_note, args=(shards, file, log, steps, args.seed))
        reader.start()
        if number < args.kills:
            before = len(_noted(log))
            most = (steps - before) // (args.kills + 1 - number)
            while len(_noted(log)) < before + drawn.randint(1, max(1, most)):
                time.sleep(0.01)
            os.kill(reader.pid or 0, signal.SIGKILL)
        reader.join()
    return _noted(log)


def _note(shards: Path, file: Path, log: Path, steps: int, seed: int) -> None:
    """Read on from what is noted, and note each batch when it is read."""
    from benchmarks.support.subset_sets import stream

    done = _noted(log)
    log.write_text("".join(f"{' '.join(step)}\n" for step in done))  # without a torn last line
    source = stream(shards, file, rank=0, world_size=1, batch=_BATCH, workers=0, seed=seed)
    with log.open("a") as out:
        for (batch,) in islice(source.from_position(len(done) * _BATCH), steps - len(done)):
            out.write(" ".join(batch.uids) + "\n")
            out.flush()


def _noted(log: Path) -> list[list[str]]:
    lines = log.read_text().split("\n")[:-1]
    return [words for line in lines if len(words := line.split(" ")) == _BATCH]


def _cost(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    from benchmarks.support.subset_sets import choose, make_set
    from data_pipelines.subsets.pool import open_pool
    from data_pipelines.subsets.subset_file import write_subset

    num_shards = args.samples // args.per_shard
    _say(f"making {num_shards:,} shards of {args.per_shard:,} samples")
    shards = make_set(folder, num_shards=num_shards, per_shard=args.per_shard, seed=args.seed)
    pool = open_pool([str(shards)])
    subset = choose(pool, int(_KEPT_SHARE * pool.num_samples), seed=args.seed)
    size = write_subset(subset, folder / "chosen.subset")
    bits = sum(len(part.bits) for part in subset.parts)
    runs = [_fresh(folder, args) for _ in range(2)]
    best = min(runs, key=lambda run: run["first_batch_s"])
    found = {
        "pool_samples": pool.num_samples,
        "bits_bytes_per_sample": bits / pool.num_samples,
        "file_bytes_per_sample": round(size / pool.num_samples, 5),
        **best,
    }
    print(
        f"{pool.num_samples:,} samples: {found['bits_bytes_per_sample']} bytes a sample "
        f"({found['file_bytes_per_sample']} with names and identities of the shards), first batch "
        f"after {best['first_batch_s']} s ({best['first_batch_cpu_s']} s of processor time)"
    )
    return found


def _fresh(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.subset_stream", f"--first-in={folder}"]
    done = subprocess.run(
        [*command, f"--seed={args.seed}"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        raise SystemExit("reading failed, see above")
    return json.loads(done.stdout.splitlines()[-1])


def _first_batch(args: argparse.Namespace) -> dict[str, float]:
    """Inside a fresh process."""
    from benchmarks.support.subset_sets import stream

    started, used = time.perf_counter(), time.process_time()
    source = stream(
        args.first_in / "shards",
        args.first_in / "chosen.subset",
        rank=0,
        world_size=1,
        batch=256,
        workers=0,
        seed=args.seed,
    )
    next(source.from_position(0))
    return {
        "first_batch_s": round(time.perf_counter() - started, 2),
        "first_batch_cpu_s": round(time.process_time() - used, 2),
        "first_batch_rss_mb": _peak_mb(),
    }


def _memory(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    ids = {
        f"{count:,}": {
            "disk_mb": _in_process(_remember, count, folder),
            "set_mb": _in_process(_remember, count, None),
        }
        for count in args.ids
    }
    for count, found in ids.items():
        print(f"{count} ids: {found['disk_mb']} MB beside {found['set_mb']} MB of a Python set")
    resharded = {}
    for count in args.resharded:
        resharded[f"{count:,}"] = found = _in_process(_reshard, folder / str(count), count, args)
        print(f"resharding {count:,} samples: {found['added_mb']} MB, {found['cpu_us']} us each")
    return {"ids": ids, "resharded": resharded}


def _remember(count: int, folder: Path | None) -> int:
    """Megabytes that a process takes more when it has met so many ids."""
    from data_pipelines.shards.seen_ids import SeenIds

    rng, before = np.random.default_rng(0), _peak_mb(anew=True)
    kept: set[bytes] = set()
    with SeenIds(folder) as seen:
        add = kept.add if folder is None else seen.add
        for _ in range(count // 1000):
            block = rng.bytes(16_000)
            for place in range(0, len(block), 16):
                add(block[place : place + 16])
    return _peak_mb() - before


def _reshard(folder: Path, count: int, args: argparse.Namespace) -> dict[str, float]:
    """Half of a pool written anew."""
    from benchmarks.support.subset_sets import choose, make_set
    from data_pipelines.subsets.pool import open_pool
    from data_pipelines.subsets.reshard import reshard

    per_shard = min(args.per_shard, count // 5)
    shards = make_set(
        folder, num_shards=2 * count // per_shard, per_shard=per_shard, seed=args.seed
    )
    pool = open_pool([str(shards)])
    subset = choose(pool, count, seed=args.seed)
    before, used = _peak_mb(anew=True), time.process_time()
    done = reshard(pool, subset, folder / "new", name="chosen", max_samples=per_shard)
    assert done.manifest.num_samples == count
    return {
        "added_mb": _peak_mb() - before,
        "cpu_us": round((time.process_time() - used) / count * 1e6, 1),
    }


def _in_process(what: Callable[..., Any], *given: Any) -> Any:
    """The result of a forked process, which has imported everything already."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        sender.send(what(*given))

    process = context.Process(target=work)
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise SystemExit("a process failed, see above") from None
    finally:
        process.join()


def _peak_mb(*, anew: bool = False) -> int:
    """Peak memory of this process; ``anew`` begins at what it has now."""
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
