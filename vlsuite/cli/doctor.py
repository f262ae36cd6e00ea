"""``vlsuite doctor``: in a few lines, what this machine can do and how to mend what is missing."""

import argparse
import contextlib
import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from vlsuite.cli.answers import tell

if TYPE_CHECKING:
    from vlsuite.cli.doctor_checks import Finding

HELP = """\
what this machine can do, and how to mend what is missing

Exit code 0 if a model can be trained on the CPU, 1 otherwise.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommand has no options of its own."""


def run(args: argparse.Namespace) -> int:
    """Check; returns 0 where training on the CPU works."""
    from vlsuite.cli.doctor_checks import CHECKS

    findings = {name: examine(check) for name, check in CHECKS.items()}
    failed = [name for name, finding in findings.items() if finding.state == "fail"]
    tell(can_train_on_cpu=not failed, checks=findings)
    print_findings(findings)
    print(f"\ntraining fails here: mend {', '.join(failed)}" if failed else "\nready to train")
    return 1 if failed else 0


def examine(check: Callable[[], "Finding"]) -> "Finding":
    """Run one check; one that raises has found that its subject does not work.

    Libraries that report on themselves while they are imported are kept off the screen.
    """
    from vlsuite.cli.doctor_checks import REINSTALL, Finding

    noise = io.StringIO()
    try:
        with contextlib.redirect_stdout(noise), contextlib.redirect_stderr(noise):
            return check()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return Finding("fail", reason, REINSTALL)


def print_findings(findings: "Mapping[str, Finding]") -> None:
    """A line each, and below it what to do where something is amiss."""
    width = max(map(len, findings))
    for name, (state, text, remedy) in findings.items():
        print(f"{state:4}  {name:{width}}  {text}")
        if remedy:
            print(f"{'':4}  {'':{width}}  -> {remedy}")
