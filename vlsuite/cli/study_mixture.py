"""``vlsuite study mixture``: what do sources of pairs, and mixtures of them, teach?"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_data
from vlsuite.cli.options import positive
from vlsuite.errors import ConfigError

DESCRIPTION = """\
train on each source of pairs and on mixtures, and compare how robust they come out

  vlsuite study mixture clipart='clipart-{000000..000004}.tar' stamps=stamps/ --out study
  vlsuite study mixture a=A b=B c=C --mixtures a,b,a:3+b:1 --seeds 5 --out study
  vlsuite study mixture a=A b=B --test sketch=data/sketch --reference sketch --out study
  vlsuite study mixture --out study --report-only --scale probit        # what is finished so far
  vlsuite study mixture --list-settings                                 # settings for --set

"Quality Not Quantity" (Nguyen et al. 2022) on your own sources: small CLIPs from random weights,
every one with the same number of samples seen, --seeds seeds of each mixture. Pairs of each source
are held out; accuracy on every test is followed along training and compared with that on the
reference by a line on logit or probit axes, with intervals over seeds and pictures. A higher line
is a more robust source; residuals say whether mixtures are what their sources let expect.

Without --mixtures: each source alone, every pair of them in equal shares, and all together. OUT
gets study.html, study.md, study.json and the plots. Killed or stopped, the same command goes on.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class MixtureStudyOptions:
    """Which runs a study of mixtures has, and where they are kept."""

    sources: tuple[str, ...] = option(
        "a name and its shards; several with commas between",
        positional=True,
        default=(),
        metavar="NAME=SHARDS",
    )
    out: Path | None = option("folder of the study, new or begun", default=None, metavar="DIR")
    test: tuple[str, ...] = option(
        "evaluation folder, besides the held-out pairs of each source",
        default=(),
        repeated=True,
        metavar="NAME=DATA",
    )
    mixtures: str | None = option(
        "sources with weights (default: see above)", default=None, metavar="A,A:3+B:1"
    )
    reference: str | None = option(
        "test that the others are compared against (default: the first of --test, else of the "
        "sources)",
        default=None,
        metavar="NAME",
    )
    scale: Literal["logit", "probit"] = option("of the axes of the lines", default="logit")
    seeds: int = option("runs of each mixture", default=3, reader=positive, metavar="N")
    seed: int = option("the first one", default=0)
    jobs: int = option("runs at a time", default=2, reader=positive, metavar="N")
    set: tuple[str, ...] = option(
        "change one setting", default=(), repeated=True, metavar="KEY=VALUE"
    )
    report_only: bool = option("train nothing, report what is finished", default=False)
    list_settings: bool = option("print the settings, and stop", default=False)


def run(options: MixtureStudyOptions) -> int:
    """Run what is missing, then report; returns the exit code.

    Raises:
        UserError: wrong sources, mixtures, tests or settings, failed runs, or nothing to report.
    """
    if options.list_settings:
        return _list_settings()
    if options.out is None:
        raise ConfigError("the study needs a folder: --out DIR")
    digest = None
    if options.report_only:
        refuse_missing_data([options.out])
    else:
        config = _config(options)
        digest = config.digest
        _train(options, config, options.out)
    from eval.studies.mixture.report import write_report

    report = write_report(
        options.out,
        reference=options.reference,
        scale=options.scale,
        digest=digest,
        seed=options.seed,
    )
    tell(report=report.page, summary=report.summary)
    print(report.text)
    print(f"\nreport: {report.page}")
    return 0


def _train(options: MixtureStudyOptions, config: Any, out: Path) -> None:
    from eval.studies.mixture.settings import cells_of, default_mixtures, mixtures_of

    names = list(config.sources)
    if options.reference is not None and options.reference not in config.test_names:
        raise ConfigError(
            f"--reference {options.reference} is no test; there are: {', '.join(config.test_names)}"
        )
    mixtures = (
        default_mixtures(names)
        if options.mixtures is None
        else mixtures_of(options.mixtures, names)
    )
    cells = cells_of(mixtures, options.seeds, first_seed=options.seed)
    for shards in config.sources.values():
        refuse_missing_data(shards)
    refuse_missing_data(config.tests.values(), option="--test")
    from eval.studies.mixture.run import run_study

    run_study(config, cells, out, jobs=options.jobs)


def _config(options: MixtureStudyOptions) -> Any:
    from data_pipelines.settings import apply_overrides, parts_of
    from eval.studies.mixture.settings import MixtureStudyConfig

    sources = {
        name: tuple(part.strip() for part in parts_of(text) if part.strip())
        for name, text in _named(options.sources, "NAME=SHARDS")
    }
    tests = dict(_named(options.test, "--test NAME=DATA"))
    return apply_overrides(MixtureStudyConfig(sources=sources, tests=tests), options.set)


def _named(given: Iterable[str], form: str) -> list[tuple[str, str]]:
    """Names and what stands behind them.

    Raises:
        ConfigError: one has no name, or a name stands twice.
    """
    found = []
    for one in given:
        name, equals, rest = one.partition("=")
        if not (equals and name and rest):
            raise ConfigError(f"'{one}' has no name; write {form}")
        if name in dict(found):
            raise ConfigError(f"the name '{name}' stands twice; write {form} once for each")
        found.append((name, rest))
    return found


def _list_settings() -> int:
    from eval.studies.mixture.settings import MixtureStudyConfig

    print("settings for --set, with what they are now:")
    for field in fields(MixtureStudyConfig):
        if field.name not in ("sources", "tests"):
            print(f"  {field.name}={field.default}")
    return 0
