"""Is every truncation of a shard noticed, and is every sample before the cut delivered?

A copy of the shard is cut shorter and shorter, by one 512-byte block at a time, and opened and
read like any shard in training. A cut counts as detected if the reader names a problem. Cuts that
leave both zero blocks of the end mark leave a complete archive and are counted apart. Where the cut
falls between two members of the first sample, nothing says that some are missing: with a picture
and a text it is delivered, and counted here as one without its last members. webdataset
reads the same cuts with its default handlers: silent are those where it gives fewer samples than
the whole shard holds, or samples with fewer or shorter members, without an exception or a warning.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.support import environment
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.errors import ShardError
from data_pipelines.shards.index import ShardIndex

_BLOCK = 512  # bytes
_SYNTHETIC_SAMPLES = 40

#: Samples before the cut that are read again each time; earlier ones were, at later cuts.
_READ_BACK = 2


class Whole(NamedTuple):
    """The uncut shard: its samples by the end of their last member, and a hash of each."""

    size: int
    archive_end: int
    ends: np.ndarray
    digests: list[bytes]


def main() -> None:
    args = _parse()
    with tempfile.TemporaryDirectory() as folder:
        shard = args.shard or _synthetic_shard(Path(folder) / "made.tar", seed=args.seed)
        copy = Path(folder) / "cut.tar"
        shutil.copyfile(shard, copy)
        whole = _whole(copy)
        cuts = _cuts(whole.size, step=args.step, most=args.max_cuts)
        figures = _sweep(copy, whole, cuts)
        shutil.copyfile(shard, copy)
        peer_cuts = _cuts(whole.size, step=args.step, most=args.peer_cuts)
        figures |= _sweep_peer(copy, whole, peer_cuts)
    _print(figures)
    finish(
        "truncation_sweep",
        figures,
        environment.describe(),
        config={
            "shard": args.shard.name if args.shard else f"made, {_SYNTHETIC_SAMPLES} samples",
            "bytes": whole.size,
            "samples": len(whole.ends),
            **{name: getattr(args, name) for name in ("step", "max_cuts", "peer_cuts", "seed")},
        },
        save=args.save,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.truncation_sweep", description=__doc__
    )
    parser.add_argument(
        "shard", type=Path, nargs="?", help="a tar; without one, a small shard is made"
    )
    parser.add_argument("--step", type=int, default=_BLOCK, help="bytes between cuts (512)")
    parser.add_argument("--max-cuts", type=int, help="so many, evenly spaced (default: all)")
    parser.add_argument("--peer-cuts", type=int, default=500, help="for webdataset (500)")
    parser.add_argument("--seed", type=int, default=0, help="of the shard that is made")
    parser.add_argument("--quick", action="store_true", help="500 cuts, 100 for webdataset")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        args.max_cuts, args.peer_cuts = 500, 100
    return args


def _synthetic_shard(path: Path, *, seed: int) -> Path:
    """Pictures of noise with captions and json, about 6 KB each."""
    import io

    rng = np.random.default_rng(seed)
    with tarfile.open(path, "w") as tar:
        for number in range(_SYNTHETIC_SAMPLES):
            image = b"\xff\xd8" + rng.bytes(int(rng.integers(2000, 6000)))
            for suffix, data in (("jpg", image), ("txt", b"noise"), ("json", b'{"n": 1}')):
                entry = tarfile.TarInfo(f"{number:06d}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return path


def _whole(path: Path) -> Whole:
    index = ShardIndex.open(path)
    if index.problems:
        raise SystemExit(f"{path} is damaged already: {index.problems[0]}")
    layout = index.layout
    last = layout.starts[1:] - 1
    ends = layout.offsets[last] + layout.sizes[last]
    archive_end = -(-int(ends[-1]) // _BLOCK) * _BLOCK
    return Whole(path.stat().st_size, archive_end, ends, [_digest(m) for _, m in index])


def _digest(members: dict[str, bytes]) -> bytes:
    digest = hashlib.sha256()
    for suffix, data in sorted(members.items()):
        digest.update(f"{suffix} {len(data)} ".encode() + data)
    return digest.digest()


def _cuts(size: int, *, step: int, most: int | None) -> list[int]:
    """Sizes after the cut, from the largest down."""
    cuts = list(range(0, size, step))[::-1]
    if most is None or len(cuts) <= most:
        return cuts
    return [cuts[i] for i in np.linspace(0, len(cuts) - 1, most).astype(int)]


def _sweep(path: Path, whole: Whole, cuts: list[int]) -> dict[str, int]:
    figures = dict.fromkeys(("cuts", "complete", "detected", "undetected"), 0)
    figures |= {"lost_whole_samples": 0, "partial_samples": 0, "wrong_samples": 0}
    for cut in _shrinking(path, cuts, "vlsuite"):
        if cut >= whole.archive_end + 2 * _BLOCK:
            figures["complete"] += 1
        else:
            figures["cuts"] += 1
        expected = int(np.searchsorted(whole.ends, cut, side="right"))
        try:
            index = ShardIndex.open(path)
            problems, found = index.problems, len(index)
        except ShardError as error:
            index, problems, found = None, (str(error),), 0
        if cut < whole.archive_end + 2 * _BLOCK:
            figures["detected" if problems else "undetected"] += 1
        figures["lost_whole_samples"] += max(0, expected - found)
        for row in range(max(0, found - _READ_BACK), found):
            assert index is not None
            digest = _digest(index.read(row))
            figures["partial_samples"] += digest != whole.digests[row] and row >= expected
            figures["wrong_samples"] += digest != whole.digests[row] and row < expected
    return figures


def _shrinking(path: Path, cuts: list[int], name: str) -> Iterator[int]:
    said = time.monotonic()
    for number, cut in enumerate(cuts):
        os.truncate(path, cut)
        if time.monotonic() - said > 10:
            said = time.monotonic()
            print(f"{name}: cut {number} of {len(cuts)}", file=sys.stderr)
        yield cut


def _sweep_peer(path: Path, whole: Whole, cuts: list[int]) -> dict[str, int]:
    figures = {"peer_cuts": 0, "peer_silent": 0}
    for cut in _shrinking(path, cuts, "webdataset"):
        if cut >= whole.archive_end + 2 * _BLOCK:
            continue
        figures["peer_cuts"] += 1
        figures["peer_silent"] += _is_silent(path, whole)
    return figures


def _is_silent(path: Path, whole: Whole) -> bool:
    """Whether webdataset reads less than there was and says nothing."""
    import webdataset

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = []
        try:
            for sample in webdataset.WebDataset(str(path), shardshuffle=False):  # type: ignore
                members = {k: v for k, v in sample.items() if not k.startswith("__")}
                found.append(_digest(members))
        except Exception:
            return False
    # Files left open are no warning about the cut.
    said = [message for message in said if message.category is not ResourceWarning]
    return found != whole.digests and not said


def _print(figures: dict[str, int]) -> None:
    print(f"{'':24}{'vlsuite':>10}{'webdataset':>12}")
    rows = (
        ("cuts", figures["cuts"], figures["peer_cuts"]),
        ("noticed", figures["detected"], figures["peer_cuts"] - figures["peer_silent"]),
        ("silent", figures["undetected"], figures["peer_silent"]),
        ("whole samples lost", figures["lost_whole_samples"], "-"),
        ("without last members", figures["partial_samples"], "-"),
        ("wrong samples", figures["wrong_samples"], "-"),
        ("complete archives", figures["complete"], "-"),
    )
    for name, ours, peer in rows:
        print(f"{name:24}{ours:>10}{peer:>12}")


if __name__ == "__main__":
    run_as_program(main)
