"""``vlsuite omnibench score``, ``compare`` and ``audit``: what stored answers are worth."""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsuite.cli.answers import tell
from vlsuite.cli.omnibench_runs import log_of, setting_names
from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from eval.omnibench.question_set import QuestionSet
    from eval.omnibench.scoring import ScoredLog, SettingScores
    from eval.respondents.question import Setting
    from eval.results import Settings

_SCORE = """\
score stored answers, with any parser; nothing is asked again

  vlsuite omnibench score OmniBench runs/qwen
  vlsuite omnibench score OmniBench runs/qwen --parser upstream --out rescored
  vlsuite omnibench score OmniBench runs/qwen --all-parsers

Questions without an answer are wrong and counted by reason. Parsers: vlsuite (ours), and upstream,
upstream_before_pr2, lmms, evalscope as those harnesses read answers, faults included. Gold labels
are places in the list of options, whatever the parser.
"""

_COMPARE = """\
two models on the same questions, or two settings of one

  vlsuite omnibench compare OmniBench runs/qwen runs/gpt
  vlsuite omnibench compare OmniBench runs/qwen runs/qwen --setting image_audio --against audio

Difference with the paired interval (Newcombe) and that of the bootstrap over questions, exact
McNemar test; over all questions and by type.
"""

_AUDIT = """\
which published figures can be true

A percentage of n questions is a whole number over n, and the types' percentages weighted by their
sizes give the overall one. Rows that are neither have other denominators.
"""

_RESULTS = "results"


def add_actions(actions: Any) -> None:
    """Add the three actions to the subparsers of ``vlsuite omnibench``."""
    score = _action(actions, "score", "score stored answers again", _SCORE)
    score.add_argument("questions", metavar="QUESTIONS", help="what the answers are to")
    score.add_argument("log", type=Path, metavar="RUN", help="folder of a run, or its log")
    score.add_argument("--setting", default="all", metavar="S,S", help="default: all in the log")
    score.add_argument("--parser", default="vlsuite", help="default: vlsuite")
    score.add_argument("--all-parsers", action="store_true", help="every parser side by side")
    score.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    score.add_argument(
        "--out", type=Path, metavar="DIR", help="results and page go here (default: print only)"
    )
    compare = _action(actions, "compare", "two models, or two settings, pairwise", _COMPARE)
    compare.add_argument("questions", metavar="QUESTIONS", help="what the answers are to")
    compare.add_argument("first", type=Path, metavar="RUN", help="folder of a run, or its log")
    compare.add_argument("second", type=Path, metavar="RUN2", help="the other one, or the same")
    compare.add_argument("--setting", metavar="S", help="of both (default: all that both have)")
    compare.add_argument("--against", metavar="S", help="of the second, where it is another one")
    compare.add_argument("--parser", default="vlsuite", help="default: vlsuite")
    compare.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    _action(actions, "audit", "which published figures can be true", _AUDIT)


def run(args: argparse.Namespace) -> int:
    """Do what the action says; returns the exit code.

    Raises:
        UserError: see ``eval.omnibench.scoring.score_log``.
    """
    return {"score": _score, "compare": _compare, "audit": _audit}[args.action](args)


def report_run(
    found: "QuestionSet",
    log: Path,
    out: Path,
    *,
    settings: "Sequence[Setting]",
    parser: str = "vlsuite",
    seed: int = 0,
) -> None:
    """Score a log, print the tables, write result files and the page.

    Raises:
        UserError: see ``eval.omnibench.scoring.score_log``.
    """
    from eval.omnibench.log import read_log
    from eval.omnibench.scoring import score_log

    names = [setting.name for setting in settings]
    scored = score_log(found, read_log(log), parser=parser, settings=names, seed=seed)
    _print(scored)
    _write(scored, out, seed=seed)


def _score(args: argparse.Namespace) -> int:
    from eval.omnibench.log import read_log
    from eval.omnibench.parsers.registry import parser_names
    from eval.omnibench.read_questions import read_questions

    settings = setting_names(args.setting)
    found, log = read_questions(args.questions), read_log(log_of(args.log))
    from eval.omnibench.scoring import score_log
    from eval.omnibench.tables import as_text, side_by_side

    if args.all_parsers:
        by_parser = {
            name: score_log(found, log, parser=name, settings=settings, seed=args.seed)
            for name in parser_names()
        }
        print(as_text(side_by_side(by_parser)))
        print()
    scored = score_log(found, log, parser=args.parser, settings=settings, seed=args.seed)
    _print(scored)
    if args.out is not None:
        _write(scored, args.out, seed=args.seed)
    return 0


def _compare(args: argparse.Namespace) -> int:
    from eval.omnibench.log import read_log
    from eval.omnibench.read_questions import read_questions

    if args.against and not args.setting:
        raise ConfigError("--against needs --setting, the setting of the first run")
    found = read_questions(args.questions)
    logs = [read_log(log_of(path)) for path in (args.first, args.second)]
    texts = (args.setting or "all", args.against or args.setting or "all")
    wanted = [setting_names(text) for text in texts]
    from eval.omnibench.comparison import compare
    from eval.omnibench.scoring import score_log
    from eval.omnibench.tables import as_text, compared

    sides = [
        score_log(found, log, parser=args.parser, settings=names, seed=args.seed)
        for log, names in zip(logs, wanted, strict=True)
    ]
    pairs = _pairs(sides, args)
    told: list[dict[str, Any]] = []
    for one, two in pairs:
        rows = compare(sides[0].settings[one], sides[1].settings[two], seed=args.seed)
        told.append({"first": one, "second": two, "rows": rows})
        print(as_text(compared(rows, f"{sides[0].model} ({one})", f"{sides[1].model} ({two})")))
        print()
    tell(models=[side.model for side in sides], comparisons=told)
    return 0


def _pairs(sides: "Sequence[ScoredLog]", args: argparse.Namespace) -> list[tuple[str, str]]:
    if args.setting:
        return [(args.setting, args.against or args.setting)]
    common = [name for name in sides[0].settings if name in sides[1].settings]
    if not common:
        raise ConfigError(
            "the two runs have no setting in common; give --setting of the first and --against of "
            "the second"
        )
    if args.first == args.second:
        raise ConfigError("a run against itself; give --setting and --against to compare settings")
    return [(name, name) for name in common]


def _audit(args: argparse.Namespace) -> int:
    from eval.omnibench.audit import audit, audit_lines

    found = audit()
    tell(audit=found)
    print("\n".join(audit_lines(found)))
    return 0


def _print(scored: "ScoredLog") -> None:
    from eval.omnibench.tables import as_text, beside_published, by_types, overview

    tell(
        model=scored.model,
        question_set=scored.question_set,
        settings={name: _figures(scores) for name, scores in scored.settings.items()},
        notes=scored.notes,
    )
    print(f"{scored.model} on {scored.question_set}\n")
    print(as_text(overview(scored)))
    for scores in scored.settings.values():
        print(f"\n{as_text(by_types(scores))}")
    if scored.asked[0] == scored.asked[1] == _published_size():
        for table in beside_published(scored):
            print(f"\n{as_text(table)}")
    for note in scored.notes:
        print(f"note: {note}")


def _figures(scores: "SettingScores") -> dict[str, Any]:
    """Everything but what became of each single question."""
    return {f.name: getattr(scores, f.name) for f in fields(scores) if f.name != "outcomes"}


def _published_size() -> int:
    from eval.omnibench.leaderboard import published

    return published().num_questions


def _write(scored: "ScoredLog", out: Path, *, seed: int) -> None:
    from eval.omnibench.report import write_page
    from eval.omnibench.results import results_of, write_results

    results = results_of(scored, seed=seed, environment=_environment(seed))
    paths = list(write_results(results, out / _RESULTS))
    for path in paths:
        print(f"results: {path}")
    page = write_page(scored, out)
    tell(results=paths, page=page)
    print(f"page: {page}")


def _environment(seed: int) -> "Settings":
    """Commit, hardware and versions; clock times and commands differ between equal runs."""
    from vlsuite.engine.run_folder import describe_environment

    environment = describe_environment(seed=seed)
    environment.pop("started", None)
    environment.pop("command", None)
    return environment


def _action(actions: Any, name: str, text: str, description: str) -> argparse.ArgumentParser:
    return actions.add_parser(
        name,
        help=text,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
