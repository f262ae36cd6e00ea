"""``vlsuite study``: many small runs under one question, and the report that answers it."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

HELP = """\
many small runs that answer one question, with intervals

  vlsuite study noise data/emoji/train --out study      which method stands wrong captions best
  vlsuite study noise --list-methods
"""

_NOISE = """\
train methods on wrong captions and measure what is left

  vlsuite study noise data/emoji/train 'clipart-{000000..000004}.tar' --out study --jobs 2
  vlsuite study noise data/emoji/train --out small --methods infonce,rde --rates 0,0.5 --seeds 1
  vlsuite study noise --out study --report-only        # what is finished so far
  vlsuite study noise --list-methods                   # methods, and settings for --set

SHARDS are pairs with honest captions. They are split by a hash of their ids: some for a start that
all methods share (InfoNCE, no noise), some to train on with a share of the captions permuted, some
to test on, clean. Every method sees the same samples from the same start; none is told the noise
rate. Oracles train on the pairs that the noise leaves alone, for as many samples.

Without --methods and --rates the published rates 0, 20, 50 and 80% are run, with --seeds seeds
where methods are compared and one elsewhere (half an hour on two idle cores for 5,000 training
pairs). OUT gets study.html, study.md, study.json and the plots. Killed or stopped, the same command
goes on with the runs that are missing.
"""

_CENTRAL = ("infonce", "label_smoothing", "nitc_weights", "rde", "oracle")
_RATES = (0.0, 0.2, 0.5, 0.8)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite study`` and of its studies."""
    studies = parser.add_subparsers(dest="study", metavar="STUDY", required=True)
    noise = studies.add_parser(
        "noise",
        help="how training methods stand wrong captions",
        description=_NOISE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = noise.add_argument
    add("shards", nargs="*", metavar="SHARDS", help="tar, folder of tars, or pattern")
    add("--out", type=Path, metavar="DIR", help="folder of the study, new or begun")
    add("--methods", metavar="A,B", help=f"with --rates alone: {','.join(_CENTRAL)}")
    add("--rates", metavar="R,R", help="shares of wrong captions; with --methods alone: all four")
    add("--seeds", type=_positive, default=3, metavar="N", help="runs of each kind (default: 3)")
    add("--seed", type=int, default=0, help="the first one (default: 0)")
    add("--jobs", type=_positive, default=2, metavar="N", help="runs at a time (default: 2)")
    add("--epochs", metavar="E", help="passes over the noisy pairs; the same as --set epochs=E")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting")
    add("--report-only", action="store_true", help="train nothing, report what is finished")
    add("--list-methods", action="store_true", help="print methods and settings, and stop")


def run(args: argparse.Namespace) -> int:
    """Run what is missing, then report; returns the exit code.

    Raises:
        UserError: no shards, unknown methods or settings, failed runs, or nothing to report.
    """
    from vlsuite.errors import ConfigError

    if args.list_methods:
        return _list_methods()
    if args.out is None:
        raise ConfigError("the study needs a folder: --out DIR")
    digest = None
    if not args.report_only:
        digest = _train(args)
    _report(args.out, digest=digest, seed=args.seed)
    return 0


def _train(args: argparse.Namespace) -> str:
    """Run what is missing; returns the digest of the settings."""
    from eval.studies.noise.records import refuse_other_study
    from eval.studies.noise.run import run_study
    from vlsuite.errors import ConfigError

    if not args.shards:
        raise ConfigError("the study needs shards: vlsuite study noise SHARDS --out DIR")
    config, cells = _config(args), _cells(args)
    refuse_other_study(args.out, config.digest)
    args.out.mkdir(parents=True, exist_ok=True)
    run_study(config, cells, args.out, jobs=args.jobs)
    return config.digest


def _report(out: Path, *, digest: str | None, seed: int) -> None:
    from eval.studies.noise.report import write_report

    report = write_report(out, digest=digest, seed=seed)
    print(report.text)
    print(f"\nreport: {report.page}")


def _config(args: argparse.Namespace) -> Any:
    from data_pipelines.settings import apply_overrides
    from eval.studies.noise.grid import StudyConfig

    epochs = [] if args.epochs is None else [f"epochs={args.epochs}"]
    return apply_overrides(StudyConfig(shards=tuple(args.shards)), [*epochs, *args.set])


def _cells(args: argparse.Namespace) -> list[Any]:
    from eval.studies.noise.grid import cells_of, default_cells

    if args.methods is None and args.rates is None:
        return default_cells(args.seeds, first_seed=args.seed)
    methods = _CENTRAL if args.methods is None else _parts(args.methods)
    rates = _RATES if args.rates is None else _numbers(_parts(args.rates))
    return cells_of(methods, rates, args.seeds, first_seed=args.seed)


def _list_methods() -> int:
    from eval.studies.noise.figures import title_of
    from eval.studies.noise.grid import StudyConfig
    from eval.studies.noise.methods import METHODS

    print("methods:")
    for name in METHODS:
        print(f"  {name:18} {title_of(name)}")
    print("\nsettings for --set, with what they are now:")
    for field in fields(StudyConfig):
        if field.name != "shards":
            print(f"  {field.name}={field.default}")
    return 0


def _parts(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(parts: Sequence[str]) -> Sequence[float]:
    from vlsuite.errors import ConfigError

    try:
        return [float(part) for part in parts]
    except ValueError as error:
        raise ConfigError(f"--rates: {error}; write shares such as 0,0.2,0.5") from error


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
