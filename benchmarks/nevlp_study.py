"""Does NEVLP describe, match and use concepts? Emoji, everything trained here, on one CPU core.

A CLIP and a small language model are trained on the emoji's training pairs and captions and
frozen; NEVLP is trained between them four times: with whole captions and with captions that have
lost half of their noun phrases, each with concepts and without. Measured on emoji and
compositions that no part has seen:

- CIDEr-D of its captions against the language model alone, which sees no picture;
- R@1 by cosine and after matching has put the best candidates in a new order;
- R@1 after matching with concepts and without, for both kinds of captions.

The frozen towers know the whole captions in all four (as pretrained ones would). Intervals are
95% bootstraps over images of one training each; they do not cover the seed of training.
A study that was interrupted goes on with --work.
"""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.support import nevlp_figures as figures
from benchmarks.support.environment import describe
from benchmarks.support.nevlp_runs import CAPTIONS, Sizes, Study
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from data_pipelines.errors import UserError

_FULL = Sizes(tower="16epochs", language_steps=800, nevlp="8epochs", width=128)
_QUICK = Sizes(tower="2steps", language_steps=5, nevlp="2steps", width=32)


def main() -> int:
    """Run the study; returns the exit code."""
    args = _parse()
    environment = describe()
    sizes = _QUICK if args.quick else _FULL
    args.candidates = min(args.candidates, 4) if args.quick else args.candidates
    try:
        with nullcontext(args.work) if args.work else work_folder("nevlp", parent=None) as work:
            work.mkdir(parents=True, exist_ok=True)
            study = Study(work, sizes, seed=args.seed, image_tower=args.image_tower)
            study.make_all()
            found = _measure(study, candidates=args.candidates, seed=args.seed)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    config["sizes"] = {name: getattr(sizes, name) for name in Sizes.__slots__}
    finish("nevlp_study", found, environment, config=config, save=args.save)
    return 0


def _measure(study: Study, *, candidates: int, seed: int) -> dict[str, Any]:
    sets = figures.open_sets(study.data)
    runs = {(c, own): study.run(c, concepts=own) for c in CAPTIONS for own in (True, False)}
    identical = all(
        figures.frozen_parts_identical(run, study.image_tower, study.language_model)
        for run in runs.values()
    )
    models = {key: figures.open_run(run) for key, run in runs.items()}
    cider = {
        name: figures.caption_figures(
            models["clean", True], folder, study.language_model, seed=seed
        )
        for name, folder in sets.items()
    }
    hits = {
        (key, name): figures.retrieval_hits(model, folder, candidates=candidates)
        for key, model in models.items()
        for name, folder in sets.items()
    }
    rerank = {n: figures.rerank_figures(hits[("clean", True), n], seed=seed) for n in sets}
    as_blip2 = {
        name: figures.rerank_figures(
            figures.retrieval_hits(
                models["clean", True], folder, candidates=candidates, scaled=False
            ),
            seed=seed,
        )
        for name, folder in sets.items()
    }
    concepts = {
        captions: {
            name: figures.concept_figures(
                hits[(captions, True), name], hits[(captions, False), name], seed=seed
            )
            for name in sets
        }
        for captions in CAPTIONS
    }
    shown = rerank | {f"{name}, BLIP-2": found for name, found in as_blip2.items()}
    _print(cider, shown, concepts, identical)
    return {
        "cider": cider,
        "rerank_r1": rerank,
        "rerank_r1_blip2": as_blip2,
        "concepts_r1": concepts,
        "frozen_parts_identical": identical,
    }


def _print(cider: dict, rerank: dict, concepts: dict, identical: bool) -> None:
    print(f"\nfrozen parts bit-identical after training: {identical}\n")
    for name, found in cider.items():
        for key, values in found.items():
            if key != "examples":
                print(f"CIDEr-D {name:20} {key:32} {_interval(values)}")
    print()
    for name, directions in rerank.items():
        for direction, own in directions.items():
            change = f"{own['before']:6.2f} -> {own['after']:6.2f}  {_interval(own['gain'])}"
            print(f"R@1 matching {name:20} {direction:14} {change}")
    print()
    for captions, by_set in concepts.items():
        for name, directions in by_set.items():
            for direction, own in directions.items():
                change = f"{own['without']:6.2f} -> {own['with']:6.2f}  {_interval(own['gain'])}"
                print(f"R@1 concepts {captions:8} {name:20} {direction:14} {change}")


def _interval(values: list[float]) -> str:
    value, low, high = values
    return f"{value:+.3f} (95% {low:+.3f} to {high:+.3f})"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nevlp_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--image-tower", type=Path, metavar="RUN", help="run of a CLIP to freeze")
    parser.add_argument("--candidates", type=int, default=32, help="matched a query (default: 32)")
    parser.add_argument("--work", type=Path, help="keep everything there, and go on from it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two steps of tiny models: it runs")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
