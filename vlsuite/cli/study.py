"""``vlsuite study``: many small runs under one question, and the report that answers it."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from data_pipelines.options import option
from vlsuite.cli import study_detection, study_mixture
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_data
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.cli.parser import CommandParser
from vlsuite.errors import ConfigError

HELP = """\
many small runs that answer one question, with intervals

  vlsuite study noise data/emoji/train --out study      which method stands wrong captions best
  vlsuite study noise --list-methods
  vlsuite study detection --backgrounds photos --out study    what ViLD finds of unmarked names
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
rate. Its learning rate is chosen first, by validation pairs as noisy as the training's (--set lr=R
sets one for all). Oracles train on the pairs that the noise leaves alone, for as many samples.

Without --methods and --rates the published rates 0, 20, 50 and 80% are run, with --seeds seeds
where methods are compared and one elsewhere (half an hour on two idle cores for 5,000 training
pairs). OUT gets study.html, study.md, study.json and the plots. Killed or stopped, the same command
goes on with the runs that are missing.
"""

_CENTRAL = ("infonce", "label_smoothing", "nitc_weights", "rde", "oracle")
_RATES = (0.0, 0.2, 0.5, 0.8)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseStudyOptions:
    """Which runs a study of noise has, and where they are kept."""

    shards: tuple[str, ...] = option(
        "tar, folder of tars, or pattern", positional=True, default=(), metavar="SHARDS"
    )
    out: Path | None = option("folder of the study, new or begun", default=None, metavar="DIR")
    methods: str | None = option(
        f"with --rates alone: {','.join(_CENTRAL)}", default=None, metavar="A,B"
    )
    rates: str | None = option(
        "shares of wrong captions; with --methods alone: all four", default=None, metavar="R,R"
    )
    seeds: int = option("runs of each kind", default=3, reader=positive, metavar="N")
    seed: int = option("the first one", default=0)
    jobs: int = option("runs at a time", default=2, reader=positive, metavar="N")
    epochs: str | None = option(
        "passes over the noisy pairs; the same as --set epochs=E", default=None, metavar="E"
    )
    set: tuple[str, ...] = option(
        "change one setting", default=(), repeated=True, metavar="KEY=VALUE"
    )
    report_only: bool = option("train nothing, report what is finished", default=False)
    list_methods: bool = option("print methods and settings, and stop", default=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite study`` and of its studies."""
    studies = parser.add_subparsers(
        dest="study", metavar="STUDY", required=True, parser_class=CommandParser
    )
    noise = studies.add_parser(
        "noise",
        help="how training methods stand wrong captions",
        description=_NOISE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    noise.familiar = {"--data": "the shards without an option: vlsuite study noise {} --out DIR"}
    noise.otherwise = "settings are changed with --set KEY=VALUE (--list-methods prints them)"
    add_options(noise, NoiseStudyOptions)
    detection = studies.add_parser(
        "detection",
        help="what a detector finds of names that nobody marked",
        description=study_detection.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(detection, study_detection.DetectionStudyOptions)
    mixture = studies.add_parser(
        "mixture",
        help="what sources of pairs, and mixtures of them, teach",
        description=study_mixture.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mixture.otherwise = "settings are changed with --set KEY=VALUE (--list-settings prints them)"
    add_options(mixture, study_mixture.MixtureStudyOptions)


def run(args: argparse.Namespace) -> int:
    """Run what is missing, then report; returns the exit code.

    Raises:
        UserError: no shards, unknown methods or settings, failed runs, or nothing to report.
    """
    if args.study == "detection":
        return study_detection.run(read_options(args, study_detection.DetectionStudyOptions))
    if args.study == "mixture":
        return study_mixture.run(read_options(args, study_mixture.MixtureStudyOptions))
    options = read_options(args, NoiseStudyOptions)
    if options.list_methods:
        return _list_methods()
    if options.out is None:
        raise ConfigError("the study needs a folder: --out DIR")
    digest = None
    if options.report_only:
        refuse_missing_data([options.out])
    else:
        digest = _train(options, options.out)
    _report(options.out, digest=digest, seed=options.seed)
    return 0


def _train(options: NoiseStudyOptions, out: Path) -> str:
    """Run what is missing; returns the digest of the settings."""
    if not options.shards:
        raise ConfigError("the study needs shards: vlsuite study noise SHARDS --out DIR")
    refuse_missing_data(options.shards)
    from eval.studies.noise.records import refuse_other_study
    from eval.studies.noise.run import run_study

    config, cells = _config(options), _cells(options)
    refuse_other_study(out, config.digest)
    out.mkdir(parents=True, exist_ok=True)
    run_study(config, cells, out, jobs=options.jobs)
    return config.digest


def _report(out: Path, *, digest: str | None, seed: int) -> None:
    from eval.studies.noise.report import write_report

    report = write_report(out, digest=digest, seed=seed)
    tell(report=report.page, summary=report.summary)
    print(report.text)
    print(f"\nreport: {report.page}")


def _config(options: NoiseStudyOptions) -> Any:
    from data_pipelines.settings import apply_overrides
    from eval.studies.noise.grid import StudyConfig

    epochs = [] if options.epochs is None else [f"epochs={options.epochs}"]
    return apply_overrides(StudyConfig(shards=options.shards), [*epochs, *options.set])


def _cells(options: NoiseStudyOptions) -> list[Any]:
    from eval.studies.noise.grid import cells_of, default_cells

    if options.methods is None and options.rates is None:
        return default_cells(options.seeds, first_seed=options.seed)
    methods = _CENTRAL if options.methods is None else _parts(options.methods)
    rates = _RATES if options.rates is None else _numbers(_parts(options.rates))
    return cells_of(methods, rates, options.seeds, first_seed=options.seed)


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
    try:
        return [float(part) for part in parts]
    except ValueError as error:
        raise ConfigError(f"--rates: {error}; write shares such as 0,0.2,0.5") from error
