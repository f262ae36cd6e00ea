"""Is evaluation faster than CLIP_benchmark's, and are the hits the same?

One model, one WebDataset folder for classification (ImageNet's 1,000 names with its 80 prompts)
and one for retrieval; each tool runs as the command its users type, start to exit, in turns.
Ours starts without stored embeddings each time. Photos come from --data (a tar of jpg members
with json {"wnid": ...}) and captions from --captions (tars of image and txt); without them noise
pictures take their place. Transparent pictures are laid on white first, since the peer shows
their hidden colours.
"""

import argparse
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from PIL import Image
from webdataset.writer import TarWriter

from benchmarks.peers import clip_benchmark as peer_clip_benchmark
from benchmarks.support.environment import describe
from benchmarks.support.models import export_untrained
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import run_timed, work_folder
from data_pipelines.errors import DataError
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, image_of
from eval.zero_shot.templates import TEMPLATE_SETS
from vlsuite.batches.decode import decode_image

_QUICK = {"photos": 60, "pairs": 120, "classes": 60, "rounds": 1}
_SHARDS = 2  # so that the peer can use two decoding processes


class Round(NamedTuple):
    """One tool, once over both folders."""

    seconds: float
    classification_s: float
    retrieval_s: float
    peak_mib: float
    scores: dict[str, float]


def main() -> int:
    """Run the comparison; returns the exit code."""
    return _compare(_parse())


def _compare(args: argparse.Namespace) -> int:
    environment = describe()
    peer = peer_clip_benchmark.prepare_environment(args.peer_env)
    ours: list[Round] = []
    theirs: list[Round] = []
    with work_folder("eval_vs_clip_benchmark", parent=args.work) as work:
        model = args.model.resolve() if args.model else export_untrained(work / "model", args.seed)
        classes = _write_classes(work / "classes", args)
        pairs = _write_pairs(work / "pairs", args)
        print(f"{'round':>5}  {'tool':<14}  {'classes s':>9}  {'pairs s':>8}  {'MiB':>6}  top-1")
        for number in range(args.rounds):
            folder = work / str(number)
            folder.mkdir()
            theirs.append(_round_of_peer(args, peer, model, classes, pairs, folder))
            _print(number, "clip_benchmark", theirs[-1])
            ours.append(_round_of_ours(args, model, classes, pairs, folder))
            _print(number, "vlsuite", ours[-1])
    figures = _figures(ours, theirs)
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    config["captions"] = [path.name for path in args.captions]
    config["peer_versions"] = peer.versions()
    finish("eval_vs_clip_benchmark", figures, environment, config=config, save=args.save)
    return 0


def _round_of_ours(
    args: argparse.Namespace, model: Path, classes: Path, pairs: Path, folder: Path
) -> Round:
    """Each folder by a command of its own, as the peer's users do it."""
    seconds, peaks, scores = [], [], {}
    for data in (classes, pairs):
        out = folder / f"ours-{data.name}"
        report = run_timed(
            [
                *(sys.executable, "-m", "vlsuite", "eval", model, "--data", data),
                *("--out", out, "--examples", "0", "--no-cache", "--batch-size", "64"),
                *("--workers", str(args.threads)),
            ],
            cwd=Path.cwd(),
            threads=args.threads,
            log=folder / f"ours-{data.name}.log",
        )
        seconds.append(report.seconds)
        peaks.append(report.peak_bytes)
        (written,) = out.glob("*.json")
        scores |= {k: v["value"] for k, v in json.loads(written.read_text())["scores"].items()}
    return Round(sum(seconds), seconds[0], seconds[1], max(peaks) / 2**20, scores)


def _round_of_peer(
    args: argparse.Namespace, peer: Any, model: Path, classes: Path, pairs: Path, folder: Path
) -> Round:
    runs = [
        peer_clip_benchmark.evaluate(
            peer,
            model=model,
            data=data,
            task=task,
            folder=folder,
            threads=args.threads,
            workers=args.peer_workers,
        )
        for data, task in (
            (classes, "zeroshot_classification"),
            (pairs, "zeroshot_retrieval"),
        )
    ]
    seconds = [run.seconds for run in runs]
    names = {
        "acc1": "top1",
        "acc5": "top5",
        "mean_per_class_recall": "mean_per_class_recall",
        **{f"image_retrieval_recall@{k}": f"text_to_image_recall_at_{k}" for k in (1, 5, 10)},
        **{f"text_retrieval_recall@{k}": f"image_to_text_recall_at_{k}" for k in (1, 5, 10)},
    }
    scores = {ours: float(run.metrics[theirs]) for run in runs for theirs, ours in names.items()
              if theirs in run.metrics}  # fmt: skip
    peak = max(run.peak_bytes for run in runs) / 2**20
    return Round(sum(seconds), seconds[0], seconds[1], peak, scores)


def _figures(ours: list[Round], theirs: list[Round]) -> dict[str, Any]:
    pairs = list(zip(ours, theirs, strict=True))
    ratios = [t.seconds / o.seconds for o, t in pairs]
    by_task = {
        "classification": median(t.classification_s / o.classification_s for o, t in pairs),
        "retrieval": median(t.retrieval_s / o.retrieval_s for o, t in pairs),
    }
    differences = {
        name: round(ours[0].scores[name] - value, 9) for name, value in theirs[0].scores.items()
    }
    # shares of whole images: anything below half an image is the peer's fp32 average
    is_equal = {name: abs(value) < 1e-6 for name, value in differences.items()}
    print(f"\nspeed ratio {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    for name, value in theirs[0].scores.items():
        print(f"{name:<28} ours {ours[0].scores[name]:.6f}  peer {value:.6f}")
    return {
        "speed_ratio": round(median(ratios), 3),
        "top1_equal": is_equal["top1"],
        "recall_equal": all(ok for name, ok in is_equal.items() if "recall_at" in name),
        "speed_ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "speed_ratio_by_task": {name: round(ratio, 3) for name, ratio in by_task.items()},
        "differences": differences,
        "ours": [r._asdict() for r in ours],
        "peer": [r._asdict() for r in theirs],
    }


def _print(number: int, tool: str, one: Round) -> None:
    print(
        f"{number:>5}  {tool:<14}  {one.classification_s:9.1f}  {one.retrieval_s:8.1f}  "
        f"{one.peak_mib:6.0f}  {one.scores['top1']:.4f}",
        flush=True,
    )


def _write_classes(folder: Path, args: argparse.Namespace) -> Path:
    """A classification folder in the published layout."""
    (folder / "test").mkdir(parents=True)
    names = IMAGENET_CLASSNAMES[: args.classes]
    samples = list(_photos(args))[: args.photos]
    keyed = [{"jpg": data, "cls": str(label % args.classes).encode()} for label, data in samples]
    _write_shards(folder, keyed)
    (folder / "classnames.txt").write_text("\n".join(names) + "\n")
    templates = TEMPLATE_SETS["imagenet"]
    (folder / "zeroshot_classification_templates.txt").write_text("\n".join(templates) + "\n")
    return folder


def _write_pairs(folder: Path, args: argparse.Namespace) -> Path:
    """A retrieval folder in the published layout, one caption an image."""
    (folder / "test").mkdir(parents=True)
    samples = []
    for data, caption in _pairs(args):
        if len(samples) < args.pairs:
            samples.append({"png": data, "txt": caption.replace("\n", " ").encode()})
    _write_shards(folder, samples)
    (folder / "dataset_type.txt").write_text("retrieval\n")
    return folder


def _write_shards(folder: Path, samples: list[dict[str, bytes]]) -> None:
    size = -(-len(samples) // _SHARDS)
    for shard in range(_SHARDS):
        with TarWriter(str(folder / "test" / f"{shard}.tar"), encoder=False) as writer:
            for number in range(shard * size, min(len(samples), (shard + 1) * size)):
                writer.write({"__key__": f"s{number:07d}", **samples[number]})
    (folder / "test" / "nshards.txt").write_text(f"{_SHARDS}\n")


def _photos(args: argparse.Namespace) -> Iterator[tuple[int, bytes]]:
    """ImageNet label (place among the sorted WordNet ids of the tar) and JPEG of each photo."""
    if args.data is None:
        for number in range(args.photos):
            yield number, _noise(number, "JPEG")
        return
    shard = ShardIndex.open(args.data)
    samples = [shard.read(number) for number in range(len(shard))]
    ids = [str(json.loads(s["json"]).get("wnid", "")) for s in samples]
    number_of = {wnid: number for number, wnid in enumerate(sorted(set(ids)))}
    for wnid, members in zip(ids, samples, strict=True):
        yield number_of[wnid], image_of(members).data


def _pairs(args: argparse.Namespace) -> Iterator[tuple[bytes, str]]:
    if not args.captions:
        for number in range(args.pairs):
            yield _noise(number, "PNG"), f"pattern number {number}"
        return
    for path in args.captions:
        shard = ShardIndex.open(path)
        for number in range(len(shard)):
            members = shard.read(number)
            try:
                captions = captions_of(members, one_per_line=False)
                picture = decode_image(image_of(members).data)
            except DataError:
                continue
            if captions:
                yield _encoded(picture, "PNG"), captions[0]


def _noise(number: int, kind: str) -> bytes:
    blocks = np.random.default_rng(number).integers(0, 256, size=(12, 16, 3), dtype=np.uint8)
    return _encoded(Image.fromarray(blocks).resize((320, 240), Image.Resampling.BICUBIC), kind)


def _encoded(picture: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format=kind)
    return stream.getvalue()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="run or exported folder (default: untrained)")
    parser.add_argument("--data", type=Path, help="tar of photos, one an ImageNet class")
    parser.add_argument("--captions", type=Path, nargs="*", default=[], help="tars of pairs")
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=8000)
    parser.add_argument("--classes", type=int, default=1000, help="class names, 80 prompts each")
    parser.add_argument("--rounds", type=int, default=3, help="each tool once a round")
    parser.add_argument("--threads", type=int, default=2, help="of torch, and our decoding threads")
    parser.add_argument("--peer-workers", type=int, default=_SHARDS, help="its decoding processes")
    parser.add_argument("--peer-env", type=Path, help="its environment (default: a cache folder)")
    parser.add_argument("--work", type=Path, help="parent of the working folder")
    parser.add_argument("--seed", type=int, default=0, help="of the untrained model")
    parser.add_argument("--quick", action="store_true", help=f"under a minute: {_QUICK}")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        vars(args).update(_QUICK)
    if args.model is not None:
        exported = args.model / "export"
        args.model = exported if exported.is_dir() else args.model
        if not (args.model / "open_clip_config.json").is_file():
            raise SystemExit(f"error: no open_clip_config.json in {args.model}")
    for path in [args.data, *args.captions]:
        if path is not None and not path.is_file():
            raise SystemExit(f"error: {path} does not exist")
    return args


if __name__ == "__main__":
    run_as_program(main)
