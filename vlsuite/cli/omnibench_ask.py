"""``vlsuite omnibench run``: a model is asked the questions, and its answers are scored."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_pipelines.options import option
from vlsuite.cli.answers import tell

if TYPE_CHECKING:
    from eval.omnibench.question_set import QuestionSet
    from eval.respondents.contract import Respondent
    from eval.respondents.question import OmniQuestion, Setting

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


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """What is asked, and where the answers go.

    Attributes:
        questions: folder, file, or hf:OWNER/NAME.
        out: new, or of a run to go on with.
        setting: settings by name, or all (default: image_audio, the benchmark itself).
        limit: ask a sample, drawn in proportion within each type.
        seed: of the sample and of the model 'random'.
        parser: how answers are read for the scores.
        retry_refused: ask again what the endpoint refused.
        dry_run: ask nothing; print what it would take.
    """

    questions: str = option(positional=True, metavar="QUESTIONS")
    out: Path = option(metavar="DIR")
    setting: str = option(default="image_audio", metavar="S,S")
    limit: int | None = option(default=None, metavar="N")
    seed: int = 0
    parser: str = "vlsuite"
    retry_refused: bool = False
    dry_run: bool = False


def add_action(actions: Any) -> None:
    """Add the action to the subparsers of ``vlsuite omnibench``."""
    from vlsuite.cli.omnibench_models import add_model_options
    from vlsuite.cli.options import add_options

    parser = actions.add_parser(
        "run",
        help="ask a model and score its answers",
        description=_RUN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser, RunOptions)
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, and score what is answered; returns the exit code.

    Raises:
        UserError: see ``eval.omnibench.asking`` and ``eval.respondents``.
    """
    from eval.omnibench.asking import ask, asked_questions, header_of
    from eval.omnibench.parsers.registry import parsers
    from eval.omnibench.read_questions import read_questions
    from eval.respondents.contract import style_of
    from eval.respondents.cost import account_line
    from vlsuite.cli.omnibench_models import chosen_respondent
    from vlsuite.cli.omnibench_runs import chosen_settings, log_in
    from vlsuite.cli.omnibench_score import report_run
    from vlsuite.cli.options import read_options

    chosen = read_options(args, RunOptions)
    settings = chosen_settings(chosen.setting)
    parsers.get(chosen.parser)  # an unknown one is said before anything is asked
    found = read_questions(chosen.questions)
    _tell_problems(found)
    model = chosen_respondent(args, found.questions)
    header = header_of(
        model, found, style=style_of(model), limit=chosen.limit, sample_seed=chosen.seed
    )
    questions = asked_questions(found, header)
    if chosen.dry_run:
        return _dry_run(model, questions, settings)
    log = log_in(chosen.out)
    try:
        asked = ask(
            model,
            questions,
            settings,
            log,
            header,
            retry_kinds=("failed", "refused") if chosen.retry_refused else ("failed",),
            show_progress=True,
        )
        print(asked.summary(), file=sys.stderr)
    finally:
        if line := account_line(model):
            print(line, file=sys.stderr)
    report_run(found, log, chosen.out, settings=settings, parser=chosen.parser)
    return 0


def _dry_run(
    respondent: "Respondent", questions: "Sequence[OmniQuestion]", settings: "Sequence[Setting]"
) -> int:
    from eval.respondents.cost import Paid
    from eval.respondents.question import prompted

    asked = [prompted(question, setting) for setting in settings for question in questions]
    if isinstance(respondent, Paid):
        estimate = respondent.estimate(asked)
        tell(questions=len(asked), estimate=estimate)
        print(estimate.summary())
    else:
        tell(questions=len(asked))
        print(f"dry run: {len(asked):,} questions, asked here")
    return 0


def _tell_problems(found: "QuestionSet") -> None:
    if found.problems:
        print(
            f"warning: {len(found.problems)} records of {found.name} are left out; first: "
            f"{found.problems[0]}",
            file=sys.stderr,
        )
