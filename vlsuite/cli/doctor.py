"""``vlsuite doctor``: in a few lines, what this machine can do and how to mend what is missing."""

import argparse
import contextlib
import io
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlsuite.cli.doctor_checks import Finding

HELP = """\
what this machine can do, and how to mend what is missing

Exit code 0 if a model can be trained on the CPU, 1 otherwise.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("--json", action="store_true", help="one JSON object, for programs")


def run(args: argparse.Namespace) -> int:
    """Check; returns 0 where training on the CPU works."""
    from vlsuite.cli.doctor_checks import CHECKS

    findings = [examine(name, check) for name, check in CHECKS.items()]
    can_train = all(finding.state != "fail" for finding in findings)
    if args.json:
        rows = {finding.name: finding._asdict() for finding in findings}
        print(json.dumps({"can_train_on_cpu": can_train, "checks": rows}, indent=2))
    else:
        print_findings(findings)
    return 0 if can_train else 1


def examine(name: str, check: Callable[[], "Finding"]) -> "Finding":
    """One finding; a check that raises has found that its part does not work.

    Libraries that report on themselves while they are imported are kept off the screen.
    """
    from vlsuite.cli.doctor_checks import Finding

    noise = io.StringIO()
    try:
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            return check()._replace(name=name)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return Finding(name, "fail", reason, "reinstall with 'make setup'")


def print_findings(findings: "list[Finding]") -> None:
    """A line each, and below it what to do where something is amiss."""
    width = max(len(finding.name) for finding in findings)
    for name, state, text, remedy in findings:
        print(f"{state:4}  {name:{width}}  {text}")
        if remedy:
            print(f"      {'':{width}}  -> {remedy}")
    failed = [finding.name for finding in findings if finding.state == "fail"]
    if failed:
        print(f"\ntraining does not work here: mend {', '.join(failed)}", file=sys.stderr)
    else:
        print("\nready to train")
