"""Does a prediction survive a movement of one pixel, and what does RICS change about that?

Shifman and Weiss 2024, arXiv 2404.07153. One model and one labelled data set, scored by the task
``translation`` of ``vlsuite eval``: each picture is moved by one pixel to the eight sides, before
its resize (the camera moved) and after it (the resized picture moved), with the model's own crop
and with the crop that RICS chooses before the resize, for several sizes of it. Of K x L places a
picture loses the chosen one in 1 - (K - 2) (L - 2) / ((K + 2) (L + 2)) of the cases under any of
eight shifts, if the score favours no place; many lost choices do not change the prediction.

--photos SHARD takes photos of ImageNet's classes and a classifier whose weights come with a
package. Without --data made-up pictures take the place of real ones, and without --model an
untrained model that of a real one: such figures show that the command works and say nothing else.
"""

import argparse
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from webdataset.writer import TarWriter

from benchmarks.support.environment import describe
from benchmarks.support.models import export_untrained
from benchmarks.support.photo_classifier import PhotoClassifier, write_photos
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from eval.contract import Benchmark
from eval.data.dataset import EvalDataset
from eval.data.folders import open_dataset
from eval.embedding.decode import StreamingDecoder
from eval.embedding.embedder import StreamingEmbedder
from eval.embedding.store import StoredEmbedder
from eval.errors import EvaluationError
from eval.results import EvalResult, Score
from eval.robustness.translation import TranslationConsistency, TranslationOptions
from eval.task_choices import TaskChoices
from eval.zero_shot.templates import templates_from
from vlsuite.models.opening import open_model

_QUICK = {"max_images": 40, "sides": []}
_MADE_UP_CLASSES = 10


def main() -> int:
    """Run the measurement; returns the exit code."""
    return _measure(_parse())


def _measure(args: argparse.Namespace) -> int:
    environment = describe()
    sides = sorted({*args.sides, args.rics_side})
    with work_folder("translation_consistency", parent=args.work) as work:
        dataset = _dataset(args, work)
        model = _model(args, dataset, work)
        decoder = StreamingDecoder(batch_size=args.batch_size, workers=args.workers)
        embedder = StoredEmbedder(
            StreamingEmbedder(decoder=decoder, show_progress=True),
            work / "store",
            batch_size=args.batch_size,
        )
        print(f"{model.name} on {dataset.title}; flip rates and top-1 in %, with 95% intervals\n")
        _print_heading()
        results = {}
        for side in sides:
            results[side] = _task(args, dataset, side).run(model, embedder)
            if len(results) == 1:
                _print_row("no RICS", results[side], rics="", top1="top1_plain")
            _print_row(f"{side:g}", results[side], rics="rics_", top1="top1_rics")
    chosen = results[args.rics_side]
    _print_summary(args.rics_side, chosen)
    figures = _figures(chosen) | {
        "images": chosen.num_samples,
        "sides": {f"{side:g}": _row(result, "rics_") for side, result in results.items()},
        "plain": _row(chosen, ""),
    }
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    finish("translation_consistency", figures, environment, config=config, save=args.save)
    return 0


def _task(args: argparse.Namespace, dataset: EvalDataset, side: float) -> Benchmark:
    request = TaskChoices(
        templates=_templates(args),
        seed=args.seed,
        options=(TranslationOptions(rics_side=side, max_images=args.max_images),),
    )
    if (lack := TranslationConsistency.missing(dataset, request)) is not None:
        raise EvaluationError(lack)
    return TranslationConsistency.build(dataset, request)


def _templates(args: argparse.Namespace) -> tuple[str, ...] | None:
    if args.photos is not None and args.model is None:
        return ("{c}",)
    return templates_from(args.templates) if args.templates else None


def _figures(result: EvalResult) -> dict[str, Any]:
    """The main figures: shares, and percentage points for the change of accuracy."""
    chosen = {
        **{
            f"flip_rate_{kind}{when}": (result.scores[f"flip_rate_{kind}{when}_resize"], 1)
            for when in ("before", "after")
            for kind in ("", "rics_")
        },
        "accuracy_change": (result.scores["rics_accuracy_change"], 100),
    }
    figures: dict[str, Any] = {}
    for name, (score, unit) in chosen.items():
        figures[name] = round(unit * score.value, 4)
        figures[f"{name}_ci"] = [round(unit * score.low, 4), round(unit * score.high, 4)]
    return figures


def _row(result: EvalResult, rics: str) -> dict[str, Any]:
    """Any of eight and a single one, before the resize and after it, and accuracy."""
    names = {
        f"{kind}_{when}": f"{prefix}flip_rate_{rics}{when}_resize"
        for when in ("before", "after")
        for kind, prefix in (("any", ""), ("single", "mean_"))
    }
    names["top1"] = "top1_rics" if rics else "top1_plain"
    values = {key: round(result.scores[name].value, 4) for key, name in names.items()}
    intervals = {
        f"{key}_ci": [round(end, 4) for end in (result.scores[name].low, result.scores[name].high)]
        for key, name in names.items()
    }
    return values | intervals


def _print_heading() -> None:
    print(f"{'':>8}  {'before the resize':^28}  {'after the resize':^28}")
    kinds = f"{'any of 8':>18}  {'single':>8}"
    print(f"{'side':>8}  {kinds}  {kinds}  {'top-1':>18}")


def _print_row(title: str, result: EvalResult, *, rics: str, top1: str) -> None:
    cells = []
    for when in ("before", "after"):
        name = f"flip_rate_{rics}{when}_resize"
        cells.append(f"{_with_interval(result.scores[name]):>18}")
        cells.append(f"{100 * result.scores[f'mean_{name}'].value:>8.2f}")
    cells.append(f"{_with_interval(result.scores[top1]):>18}")
    print(f"{title:>8}  {'  '.join(cells)}", flush=True)


def _print_summary(side: float, result: EvalResult) -> None:
    change = result.scores["rics_accuracy_change"]
    value, low, high = (100 * share for share in (change.value, change.low, change.high))
    print(
        f"\n{result.num_samples:,} images; RICS with crops of 1/{side:g} of the shorter side: "
        f"top-1 {value:+.2f} points (95% {low:+.2f} to {high:+.2f})"
    )


def _with_interval(score: Score) -> str:
    return f"{100 * score.value:.1f} ({100 * score.low:.1f}-{100 * score.high:.1f})"


def _model(args: argparse.Namespace, dataset: EvalDataset, work: Path) -> Any:
    if args.photos is not None and args.model is None:
        assert dataset.layout.classes is not None
        return PhotoClassifier(dataset.layout.classes.names)
    name = args.model or export_untrained(work / "model", args.seed)
    return open_model(str(name), device=args.device)


def _dataset(args: argparse.Namespace, work: Path) -> EvalDataset:
    if args.photos is not None:
        count = args.max_images or 150
        return open_dataset(str(write_photos(args.photos, work / "data", max_images=count)))
    if args.data is None:
        return open_dataset(str(_write_made_up(work / "data", args.seed)))
    names = str(args.class_names) if args.class_names else None
    return open_dataset(str(args.data), class_names=names)


def _write_made_up(folder: Path, seed: int, count: int = 200) -> Path:
    (folder / "test").mkdir(parents=True)
    with TarWriter(str(folder / "test" / "0.tar"), encoder=False) as writer:
        for number, picture in enumerate(_pictures(count, seed)):
            label = str(number % _MADE_UP_CLASSES).encode()
            writer.write({"__key__": f"s{number:07d}", "png": picture, "cls": label})
    (folder / "test" / "nshards.txt").write_text("1\n")
    names = "\n".join(f"class {number}" for number in range(_MADE_UP_CLASSES))
    (folder / "classnames.txt").write_text(names + "\n")
    return folder


def _pictures(count: int, seed: int) -> Iterator[bytes]:
    """Noise at four scales, as photos have details at every size."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        layers: Sequence[np.ndarray] = [
            np.asarray(
                Image.fromarray(
                    rng.integers(0, 256, size=(cells, cells, 3), dtype=np.uint8)
                ).resize((96, 96), Image.Resampling.BICUBIC),
                dtype=np.float32,
            )
            for cells in (3, 8, 24, 96)
        ]
        mixed = np.average(layers, axis=0, weights=(8, 4, 2, 1))
        stream = io.BytesIO()
        Image.fromarray(mixed.astype(np.uint8)).save(stream, format="PNG")
        yield stream.getvalue()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="as for vlsuite eval (default: an untrained small one)")
    parser.add_argument("--data", type=Path, help="a labelled data set, as for vlsuite eval")
    parser.add_argument(
        "--photos",
        type=Path,
        help="instead of --data: a shard of photos of ImageNet's classes, keys the classes' "
        "numbers; --max-images of them (default: 150); without --model for EfficientNet-Lite0",
    )
    parser.add_argument("--class-names", type=Path, help="class names, one a line")
    parser.add_argument("--templates", help="a named set of prompts or a file")
    parser.add_argument(
        "--rics-side",
        type=float,
        default=TranslationOptions().rics_side,
        help="shorter side as a multiple of the crop, for the main figures (default: %(default)s)",
    )
    parser.add_argument(
        "--sides",
        type=float,
        nargs="+",
        default=[1.125, 1.25, 1.5, 2.0],
        help="likewise, rows of the table (default: %(default)s)",
    )
    parser.add_argument("--max-images", type=int, default=0, help="a seeded choice; 0 takes all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2, help="decoding threads")
    parser.add_argument("--work", type=Path, help="parent of the working folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help=f"under a minute: {_QUICK}")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        vars(args).update(_QUICK)
    return args


if __name__ == "__main__":
    run_as_program(main)
