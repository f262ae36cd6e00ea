"""Does the video reader return the frames asked for, and what does each way to them cost?

Eight frames, the middles of equal stretches, from encoded bytes in memory, one thread, in CPU time
(user and system; the wall clock of a shared machine tells little). Our reader without and with its
frame index against decord, torchcodec's exact mode, and PyAV by seeking to each frame and by
decoding from the start. Sides alternate; the best of the rounds counts.

The originals of a shard have a thumbnail of every frame of a decode from the start: the nearest one
tells which frame came back. Two more files are made here from one of them, with key frames every
12 and every 250 frames.
"""

import argparse
import io
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from benchmarks.support.data_folder import VARIABLE, file_named
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.video_sides import Side, ours, ours_indexed, peers
from data_pipelines.errors import UserError
from data_pipelines.schema import VIDEO_SUFFIXES
from data_pipelines.shards.index import ShardIndex
from data_pipelines.video.reader import make_index

_SHARD = "videos-000000.tar"
_NUM_FRAMES = 8
_SIDE = 24  # pixels of a thumbnail
_GROUPS = (12, 250)


class Case(NamedTuple):
    """A file, and a thumbnail of every frame of it."""

    name: str
    data: bytes
    thumbnails: np.ndarray


class Result(NamedTuple):
    """Of one side on one file; CPU times in milliseconds."""

    best: float
    median: float
    exact: int
    asked: int

    @property
    def is_exact(self) -> bool:
        """Whether every frame was the one asked for."""
        return self.exact == self.asked


def main() -> int:
    """Run the comparison; returns the exit code."""
    args = _parse()
    torch.set_num_threads(1)
    path = file_named(args.shard, _SHARD, option="SHARD")
    originals = _originals(path)
    environment = describe()
    source = next((case for case in originals if case.name.endswith(args.source)), originals[0])
    made = [_regrouped(source, group, args.made_frames) for group in _GROUPS]
    sides = {name: side for name, side in peers().items() if side is not None}
    absent = [name for name, side in peers().items() if side is None]
    if absent:
        print(f"absent here: {', '.join(absent)}")
    table = {case.name: _rounds(case, sides, args.rounds) for case in (*originals, *made)}
    for name, results in table.items():
        _show(name, results)
    finish(
        "video_decode",
        _figures(table) | {"absent": absent},
        environment,
        config={
            "shard": path.name,
            "num_frames": _NUM_FRAMES,
            "rounds": args.rounds,
            "made_from": source.name,
            "made_frames": args.made_frames,
        },
        save=args.save,
    )
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.video_decode", description=__doc__)
    parser.add_argument(
        "shard",
        nargs="?",
        type=Path,
        help=f"tar with videos and their thumbs.npy (default: {_SHARD} in {VARIABLE})",
    )
    parser.add_argument("--rounds", type=int, default=7, help="of which the best counts")
    parser.add_argument("--source", default="vtest", help="original that the two files are made of")
    parser.add_argument("--seed", type=int, default=0, help="unused: nothing is drawn")
    parser.add_argument("--quick", action="store_true", help="2 rounds, short files")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    args.made_frames = 795
    if args.quick:
        args.rounds, args.made_frames = 2, 260
    return args


def _originals(path: Path) -> list[Case]:
    index = ShardIndex.open(path)
    cases = []
    for i in range(len(index)):
        if "thumbs.npy" not in index.suffixes(i):
            continue
        members = index.read(i)
        (suffix,) = members.keys() & set(VIDEO_SUFFIXES)
        thumbnails = np.load(io.BytesIO(members["thumbs.npy"]), allow_pickle=False)
        cases.append(Case(index.key(i), members[suffix], thumbnails.astype(np.float32)))
    if not cases:
        raise UserError(f"no video in {path} has a thumbs.npy; name another shard")
    return cases


def _regrouped(source: Case, group: int, num_frames: int) -> Case:
    """The first frames of a video, encoded anew with key frames ``group`` frames apart."""
    import av

    stream = io.BytesIO()
    thumbnails = []
    with (
        av.open(io.BytesIO(source.data), "r") as given,
        av.open(stream, "w", format="mp4") as output,
    ):
        options = {"g": str(group), "crf": "23", "threads": "1"}
        video: Any = output.add_stream("libx264", rate=10, options=options)
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        for number, frame in enumerate(given.decode(given.streams.video[0])):
            if number == num_frames:
                break
            scaled = frame.reformat(width=640, height=360, format="yuv420p")
            scaled.pts = number
            output.mux(video.encode(scaled))
        output.mux(video.encode(None))
    data = stream.getvalue()
    with av.open(io.BytesIO(data), "r") as made:
        for frame in made.decode(made.streams.video[0]):
            thumbnails.append(_thumbnail(frame.to_ndarray(format="rgb24")))
    return Case(f"gop{group}", data, np.stack(thumbnails))


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    small = Image.fromarray(frame).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def _rounds(case: Case, sides: dict[str, Side], rounds: int) -> dict[str, Result | None]:
    """Every side on one file; None where it cannot read it."""
    mine = {"ours": ours, "ours_indexed": ours_indexed(make_index(case.data))}
    times: dict[str, list[float]] = {}
    exact: dict[str, int] = {}
    for number in range(-1, rounds):  # the first warms up
        for name, side in {**mine, **sides}.items():
            started = time.process_time()
            try:
                numbers, frames = side(case.data, _NUM_FRAMES)
            except Exception as error:  # whatever a peer raises
                print(f"  {name} cannot read {case.name}: {' '.join(str(error).split())[:100]}")
                continue
            spent = time.process_time() - started
            if number < 0:
                exact[name] = _count_exact(case, numbers, frames)
            else:
                times.setdefault(name, []).append(1000 * spent)
    return {
        name: Result(min(times[name]), median(times[name]), exact[name], _NUM_FRAMES)
        if name in times and name in exact
        else None
        for name in (*mine, *sides)
    }


def _count_exact(case: Case, numbers: list[int], frames: Any) -> int:
    """Frames whose picture is that of their number, among the middles of the whole video."""
    count = 0
    for number, frame in zip(numbers, frames, strict=True):
        distances = ((case.thumbnails - _thumbnail(np.asarray(frame))) ** 2).mean((1, 2, 3))
        nearest = int(distances.argmin())
        # Frames of a film at rest are equal: any of the nearest is right.
        is_right = number < len(distances) and distances[number] <= distances[nearest] + 1e-6
        count += bool(is_right)
    return count


def _show(name: str, results: dict[str, Result | None]) -> None:
    cells = []
    for side, result in results.items():
        text = "cannot" if result is None else f"{result.best:.1f}"
        if result is not None and not result.is_exact:
            text += f" ({result.exact} of {result.asked} right)"
        cells.append(f"{side} {text}")
    print(f"{name:14} " + "  ".join(cells), flush=True)


def _figures(table: dict[str, dict[str, Result | None]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, results in table.items():
        mine, indexed = results["ours"], results["ours_indexed"]
        assert mine is not None
        assert indexed is not None
        rivals = [
            result.best
            for side, result in results.items()
            if not side.startswith("ours") and result is not None and result.is_exact
        ]
        if rivals:
            figures[f"ratio_vs_best_exact_peer_{name}"] = round(mine.best / min(rivals), 3)
        figures[f"ratio_with_index_{name}"] = round(indexed.best / mine.best, 3)
    asked = [results[side] for results in table.values() for side in ("ours", "ours_indexed")]
    right = [result for result in asked if result is not None]
    figures["exact_frames"] = sum(r.exact for r in right) / sum(r.asked for r in right)
    figures["files"] = len(table)
    figures["cpu_ms"] = {
        name: {side: result and result._asdict() for side, result in results.items()}
        for name, results in table.items()
    }
    return figures


if __name__ == "__main__":
    run_as_program(main)
