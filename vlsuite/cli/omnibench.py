"""``vlsuite omnibench``: questions about a picture and a sound, asked, scored and compared."""

import argparse

HELP = """\
questions about a picture and a sound together: ask models, score, compare

  vlsuite omnibench run OmniBench --model http://127.0.0.1:8000/v1#Qwen2.5-Omni-7B --out runs/qwen
  vlsuite omnibench run OmniBench --model random --setting all --out runs/random
  vlsuite omnibench score OmniBench runs/qwen            # stored answers, another parser
  vlsuite omnibench compare OmniBench runs/qwen runs/random
  vlsuite omnibench audit                                # which published figures can be true
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite omnibench`` and of its actions."""
    from vlsuite.cli import omnibench_ask, omnibench_score

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    omnibench_ask.add_action(actions)
    omnibench_score.add_actions(actions)


def run(args: argparse.Namespace) -> int:
    """Do what the action says; returns the exit code.

    Raises:
        UserError: see ``eval.omnibench`` and ``eval.respondents``.
    """
    from vlsuite.cli import omnibench_ask, omnibench_score

    return omnibench_ask.run(args) if args.action == "run" else omnibench_score.run(args)
