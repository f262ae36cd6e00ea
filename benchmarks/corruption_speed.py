"""How much processor time do ImageNet-C's corruptions take, next to the imagecorruptions package?

Both sides corrupt the same pictures in all 75 cells (15 corruptions at 5 severities, and the 4
extra ones outside the ratio) on one thread, draws included, first calls discarded, rounds
alternating. Our results are then compared with the published definitions in float64, the draws
handed to both, on one picture.
"""

import argparse
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from benchmarks.peers import imagecorruptions as peer_imagecorruptions
from benchmarks.peers.corruption_reference import draws_of, reference
from benchmarks.peers.imagecorruptions import Cell
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import BenchmarkError, work_folder
from eval.corruptions.apply import corrupt
from eval.corruptions.catalogue import KERNELS
from eval.corruptions.contact_sheet import write_contact_sheet
from eval.corruptions.draws import Draws, keys_of
from eval.corruptions.pixels import DrawContext
from eval.corruptions.severities import ALL_CORRUPTIONS, CORRUPTIONS, SEVERITIES, constants_of
from vlsuite.batches.decode import decode_image

_SIDE, _SHORT_SIDE = 224, 256
_CELLS: list[Cell] = [(name, severity) for name in ALL_CORRUPTIONS for severity in SEVERITIES]
_QUICK = {"pictures": 1, "rounds": 1}


def main() -> int:
    """Run the comparison; returns the exit code."""
    return _compare(_parse())


def _compare(args: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    environment = describe()
    images = load_pictures(args.data, args.pictures, seed=args.seed)
    peer = peer_imagecorruptions.prepare_environment(args.peer_env)
    ours: list[dict[Cell, float]] = []
    theirs: list[dict[Cell, float]] = []
    stopped: dict[str, str] = {}
    shown = rearrange(images, "pictures rgb height width -> pictures height width rgb").numpy()
    with work_folder("corruption_speed", parent=args.work) as work:
        for number in range(args.rounds):
            ours.append(time_ours(images, seed=args.seed + number))
            timed = peer_imagecorruptions.time_round(
                peer, shown, _CELLS, source=args.peer_source, work=work, seed=args.seed + number
            )
            theirs.append(timed.seconds)
            stopped |= timed.stopped
            print(
                f"round {number + 1}: {_ratio(ours[-1], theirs[-1]):.4f} of the peer's", flush=True
            )
    differences = {name: difference(images[:1], name, seed=args.seed) for name in ALL_CORRUPTIONS}
    _print_table(ours, theirs, differences, len(images))
    if args.contact_sheet:
        write_contact_sheet(images[0], args.contact_sheet, seed=args.seed)
        print(f"contact sheet: {args.contact_sheet}")
    figures = _figures(ours, theirs, differences, len(images)) | {
        "peer_stopped_unmended": stopped,
        "peer_versions": peer.versions(),
    }
    config = {
        "pictures": len(images),
        "source": args.data.name if args.data else "synthetic",
        "rounds": args.rounds,
        "seed": args.seed,
        "peer_source": "repository" if args.peer_source else "release, mended",
        "threads": 1,
    }
    finish("corruption_speed", figures, environment, config=config, save=args.save)
    return 0


def time_ours(images: Tensor, *, seed: int) -> dict[Cell, float]:
    """Processor seconds, user and system, of each cell for all pictures together."""
    ids = range(len(images))
    for name, severity in _CELLS:
        corrupt(images[:1], name, severity, image_ids=ids[:1], seed=seed)
    seconds = {}
    for name, severity in _CELLS:
        started = time.process_time()
        corrupt(images, name, severity, image_ids=ids, seed=seed)
        seconds[name, severity] = time.process_time() - started
    return seconds


def difference(image: Tensor, corruption: str, *, seed: int) -> int:
    """Largest distance from the published definition over all severities, in levels of 255."""
    picture = np.ascontiguousarray(rearrange(image[0], "rgb h w -> h w rgb").numpy())
    largest = 0
    for severity in SEVERITIES:
        strength = constants_of(corruption, severity)
        kernel = KERNELS[corruption]
        draws: tuple[Any, ...] = ()
        if kernel.draw is not None:
            keys = keys_of([0], corruption, severity, seed=seed)
            context = DrawContext(image.shape[2], image.shape[3])
            draws = (kernel.draw(Draws(keys), context, strength),)
        ours = rearrange(kernel.apply(image, strength, *draws)[0], "rgb h w -> h w rgb")
        theirs = reference(corruption, picture, strength, *(draws_of(d, 0) for d in draws))
        levels = np.abs(ours.numpy().astype(int) - theirs)
        largest = max(largest, int(levels.max()))
    return largest


def load_pictures(path: Path | None, count: int, *, seed: int) -> Tensor:
    """Central crops of 224 pixels from the photos of a tar, or made-up pictures.

    Raises:
        BenchmarkError: the tar has too few pictures.
    """
    if path is None:
        frames = [_made_up(np.random.default_rng([seed, number])) for number in range(count)]
    else:
        frames = _photos(path, count)
    stacked = rearrange(np.stack(frames), "pictures height width rgb -> pictures rgb height width")
    return torch.from_numpy(np.ascontiguousarray(stacked))


def _photos(path: Path, count: int) -> list[np.ndarray]:
    if not path.is_file():
        raise BenchmarkError(f"no tar of photos at {path}; give one with --data FILE")
    frames = []
    with tarfile.open(path) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            if stream is None or not member.name.endswith((".jpg", ".jpeg", ".png", ".webp")):
                continue
            frames.append(_central(decode_image(stream.read())))
            if len(frames) == count:
                return frames
    raise BenchmarkError(f"{path} has {len(frames)} pictures; ask for fewer with --pictures")


def _central(image: Image.Image) -> np.ndarray:
    scale = _SHORT_SIDE / min(image.size)
    width, height = (round(side * scale) for side in image.size)
    left, top = (width - _SIDE) // 2, (height - _SIDE) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + _SIDE, top + _SIDE)))


def _made_up(generator: np.random.Generator) -> np.ndarray:
    """Noise of many scales with sharp steps, as a photo has them."""
    total = np.zeros((_SIDE, _SIDE, 3))
    for octave in range(1, 8):
        cells = generator.integers(0, 256, (1 << octave, 1 << octave, 3), dtype=np.uint8)
        smooth = Image.fromarray(cells).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        total += np.asarray(smooth, dtype=float) / 1.6**octave
    total = (total - total.min()) / np.ptp(total)
    total[total.mean(axis=2) > 0.6] *= 0.5
    return (total * 255).astype(np.uint8)


def _ratio(
    ours: dict[Cell, float], theirs: dict[Cell, float], names: Sequence[str] = CORRUPTIONS
) -> float:
    cells = [cell for cell in _CELLS if cell[0] in names]
    return sum(ours[cell] for cell in cells) / sum(theirs[cell] for cell in cells)


def _milliseconds(rounds: list[dict[Cell, float]], name: str, count: int) -> float:
    """A picture's time at all five severities together, in the median round."""
    totals = [sum(spent[name, severity] for severity in SEVERITIES) for spent in rounds]
    return median(totals) / count * 1000


def _figures(
    ours: list[dict[Cell, float]],
    theirs: list[dict[Cell, float]],
    differences: dict[str, int],
    count: int,
) -> dict[str, Any]:
    pairs = list(zip(ours, theirs, strict=True))
    ratios = [_ratio(*pair) for pair in pairs]
    return {
        "ratio_cpu_time": round(median(ratios), 4),
        "ratio_min": round(min(ratios), 4),
        "ratio_max": round(max(ratios), 4),
        "ratio_all_19": round(median(_ratio(*pair, ALL_CORRUPTIONS) for pair in pairs), 4),
        "covered": len(differences),
        "max_abs_diff_255": max(differences.values()),
        "max_abs_diff_255_by_corruption": differences,
        "ours_ms_per_picture": {
            name: round(_milliseconds(ours, name, count), 2) for name in ALL_CORRUPTIONS
        },
        "peer_ms_per_picture": {
            name: round(_milliseconds(theirs, name, count), 2) for name in ALL_CORRUPTIONS
        },
    }


def _print_table(
    ours: list[dict[Cell, float]],
    theirs: list[dict[Cell, float]],
    differences: dict[str, int],
    count: int,
) -> None:
    print("processor time for one picture at all five severities")
    print(f"{'corruption':<18}  {'ours ms':>8}  {'peer ms':>8}  {'share':>6}  {'max diff':>8}")
    for name in ALL_CORRUPTIONS:
        mine, other = (_milliseconds(rounds, name, count) for rounds in (ours, theirs))
        print(
            f"{name:<18}  {mine:>8.1f}  {other:>8.1f}  {mine / other:>6.3f}  {differences[name]:>8}"
        )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="tar of photos; without it made-up pictures")
    parser.add_argument("--pictures", type=int, default=8, help="how many of them")
    parser.add_argument("--rounds", type=int, default=3, help="of both sides, alternating")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer-env", type=Path, help="environment of the peer; installed there")
    parser.add_argument(
        "--peer-source", type=Path, help="checkout of the peer's repository, instead of its release"
    )
    parser.add_argument("--contact-sheet", type=Path, help="write a PNG of every cell there")
    parser.add_argument("--work", type=Path, help="where files live while it runs")
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one picture, one round, under a minute: shows that it runs",
    )
    args = parser.parse_args()
    if args.quick:
        vars(args).update(_QUICK)
    return args


if __name__ == "__main__":
    run_as_program(main)
