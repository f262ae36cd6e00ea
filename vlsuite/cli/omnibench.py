"""``vlsuite omnibench``: questions about a picture and a sound, asked, scored and compared."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eval.omnibench.question_set import QuestionSet
    from eval.respondents.contract import Respondent
    from eval.respondents.question import OmniQuestion, Setting

HELP = """\
questions about a picture and a sound together: ask models, score, compare

  vlsuite omnibench run OmniBench --model http://127.0.0.1:8000/v1#Qwen2.5-Omni-7B --out runs/qwen
  vlsuite omnibench run OmniBench --model random --setting all --out runs/random
  vlsuite omnibench score OmniBench runs/qwen            # stored answers, another parser
  vlsuite omnibench compare OmniBench runs/qwen runs/random
  vlsuite omnibench audit                                # which published figures can be true
"""

_RUN = """\
ask a model the questions and score its answers

  vlsuite omnibench run OmniBench --model http://127.0.0.1:8000/v1#Qwen2.5-Omni-7B --out runs/qwen
  vlsuite omnibench run OmniBench --model https://api.openai.com/v1#gpt-4o-audio-preview \\
    --key-env OPENAI_API_KEY --limit 100 --price-in 2.5 --price-out 10 --max-cost 5 --out runs/gpt
  vlsuite omnibench run OmniBench --model transformers:Qwen/Qwen2.5-Omni-7B --out runs/local
  vlsuite omnibench run OmniBench --model dual:runs/clip+runs/sounds --setting all --out runs/dual
  vlsuite omnibench run OmniBench --model random --setting all --out runs/chance

QUESTIONS is OmniBench's folder (dataset/*.jsonl with mm_data), a Parquet file or a folder of them,
or hf:m-a-p/OmniBench. In each setting the picture and the sound are shown, replaced by a text, or
left out; what is left out never reaches the model.

Every answer is in OUT/responses.jsonl before the next is taken, and paid answers are kept in a
cache besides. Killed or stopped, the same command goes on; finished, it only scores again.
Questions that failed (tries ran out) are asked again each time.

--dry-run says how many requests, bytes and tokens it would take, and what they would cost.
"""

RESPONSES = "responses.jsonl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite omnibench`` and of its actions."""
    from vlsuite.cli import omnibench_score
    from vlsuite.cli.omnibench_models import add_model_arguments

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    run_parser = actions.add_parser(
        "run",
        help="ask a model and score its answers",
        description=_RUN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_what(run_parser)
    add_model_arguments(run_parser)
    omnibench_score.add_actions(actions)


def _add_what(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("questions", metavar="QUESTIONS", help="folder, file, or hf:OWNER/NAME")
    add("--out", type=Path, required=True, metavar="DIR", help="new, or of a run to go on with")
    add(
        "--setting",
        default="image_audio",
        metavar="S,S",
        help="settings by name, or all (default: image_audio, the benchmark itself)",
    )
    add("--limit", type=int, metavar="N", help="ask a sample, drawn in proportion within each type")
    add("--seed", type=int, default=0, help="of the sample and of the model 'random' (default: 0)")
    add(
        "--parser", default="vlsuite", help="how answers are read for the scores (default: vlsuite)"
    )
    add("--retry-refused", action="store_true", help="ask again what the endpoint refused")
    add("--dry-run", action="store_true", help="ask nothing; print what it would take")


def run(args: argparse.Namespace) -> int:
    """Do what the action says; returns the exit code.

    Raises:
        UserError: see ``eval.omnibench`` and ``eval.respondents``.
    """
    from vlsuite.cli import omnibench_score

    return _run(args) if args.action == "run" else omnibench_score.run(args)


def _run(args: argparse.Namespace) -> int:
    from eval.omnibench.asking import ask, asked_questions, header_of
    from eval.omnibench.parsers.registry import parser
    from eval.omnibench.read_questions import read_questions
    from vlsuite.cli import omnibench_score
    from vlsuite.cli.omnibench_models import build_respondent

    settings = chosen_settings(args.setting)
    parser(args.parser)  # an unknown one is said before anything is asked
    found = read_questions(args.questions)
    _tell_problems(found)
    model = build_respondent(args, found.questions)
    header = header_of(
        model.respondent, found, style=model.style, limit=args.limit, sample_seed=args.seed
    )
    questions = asked_questions(found, header)
    if args.dry_run:
        return _dry_run(model.respondent, questions, settings)
    log = args.out / RESPONSES
    try:
        asked = ask(
            model.respondent,
            questions,
            settings,
            log,
            header,
            retry_kinds=("failed", "refused") if args.retry_refused else ("failed",),
            show_progress=True,
        )
        print(asked.summary(), file=sys.stderr)
    finally:
        _tell_account(model.respondent)
    omnibench_score.report_run(found, log, args.out, settings=settings, parser=args.parser)
    return 0


def chosen_settings(text: str) -> "list[Setting]":
    """Settings of a list with commas, in the order of the benchmark.

    Raises:
        ConfigError: one of them is unknown, or there is none.
    """
    from eval.respondents.question import SETTINGS

    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in (*SETTINGS, "all"):
            raise ConfigError(f"unknown setting '{name}'; choose from all, {', '.join(SETTINGS)}")
    if not names:
        raise ConfigError(f"no setting; choose from all, {', '.join(SETTINGS)}")
    return [s for s in SETTINGS.values() if "all" in names or s.name in names]


def _dry_run(
    respondent: "Respondent", questions: "Sequence[OmniQuestion]", settings: "Sequence[Setting]"
) -> int:
    from eval.respondents.question import prompted
    from vlsuite.cli.omnibench_models import estimate_of

    asked = [prompted(question, setting) for setting in settings for question in questions]
    estimate = estimate_of(respondent, asked)
    print(estimate.summary() if estimate else f"dry run: {len(asked):,} questions, asked here")
    return 0


def _tell_problems(found: "QuestionSet") -> None:
    if found.problems:
        print(
            f"warning: {len(found.problems)} records of {found.name} are left out; first: "
            f"{found.problems[0]}",
            file=sys.stderr,
        )


def _tell_account(respondent: "Respondent") -> None:
    from vlsuite.cli.omnibench_models import account_of

    account = account_of(respondent)
    if account is not None and (account.sent or account.cached):
        print(account.summary(), file=sys.stderr)
