"""Does asking an endpoint that fails, by a command that is killed, end as if nothing had happened?

A real chat server on loopback answers some tries with 429 (Retry-After in seconds and as a date),
500, half a body and a cut connection, half a JSON document, or not in time. ``vlsuite omnibench
run`` asks it a question set in all eight settings and is killed (SIGKILL) at random moments; the
same command is then started again. Result files and page must be byte for byte those of a command
that was left alone with a server that never fails.

requests_needed: distinct questions, each asked once. requests_sent: all that the server received;
the rest are the tries that the injected faults cost, and questions that were under way when the
command was killed. Of those the server may have sent an answer that the command had not stored
yet; no client can know that answer, and it is asked again (answered_twice). A question whose answer
was stored is never asked again (asked_though_stored, counted by the server).
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.support import environment, report
from benchmarks.support.omni_questions import write_github_form
from benchmarks.support.omni_server import Fault, FaultPlan, Ledger, OmniServer, letter_model
from benchmarks.support.program import run_as_program
from eval.omnibench.log import read_log
from eval.respondents.response import Response

#: Share of the first three tries of each question that goes wrong, by fault.
RATES: dict[Fault, float] = {
    "429": 0.06,
    "429 date": 0.01,
    "500": 0.08,
    "cut": 0.08,
    "malformed": 0.08,
    "timeout": 0.03,
}

_DELAY = 0.01  # seconds the server takes for an answer
_TIMEOUT = 300.0  # seconds a command may take before it counts as hanging


@dataclass
class Outcome:
    """What came of one faulty and killed job beside an undisturbed one.

    Attributes:
        needed, sent: requests; see the module.
        faults: tries that went wrong on purpose, by kind.
        killed_at: answers that the server had sent at each kill.
        stored_at: answers that the command had stored by then.
        asked_though_stored: requests for questions whose answer was stored at a kill.
        answered_twice: questions the server sent more than one whole answer to.
        lost: answers made and not delivered whole, by the faults.
        report_identical: whether result files and page are the same bytes.
        answers_identical: whether the logs hold the same responses.
        files: that were compared.
        seconds: undisturbed and disturbed.
    """

    needed: int = 0
    sent: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    killed_at: list[int] = field(default_factory=list)
    stored_at: list[int] = field(default_factory=list)
    asked_though_stored: int = 0
    answered_twice: int = 0
    lost: int = 0
    report_identical: bool = False
    answers_identical: bool = False
    files: int = 0
    seconds: tuple[float, float] = (0.0, 0.0)


def measure(
    folder: Path,
    *,
    questions: int,
    settings: str,
    kills: int,
    seed: int,
    finish: Callable[[list[str]], None] | None = None,
) -> Outcome:
    """Run both jobs and compare them.

    Args:
        folder: empty; questions, runs and caches are made in it.
        questions: in the set.
        settings: as ``--setting`` takes them.
        kills: of the disturbed command.
        seed: of faults, kills and questions.
        finish: runs a command of ``vlsuite`` to its end; None runs it in a process of its own.
    """
    finish = finish or _finish
    found = write_github_form(folder / "questions", questions, seed=seed)
    outcome = Outcome()
    with OmniServer(letter_model, delay=_DELAY) as server:
        began = time.monotonic()
        finish(_command(found, folder / "undisturbed", server.url, settings))
        middle = time.monotonic()
        outcome.needed = len(server.ledger.received)
        server.ledger = Ledger()
        server.plan = FaultPlan(rates=RATES, seed=seed, hang=1.5, retry_after=0.1)
        command = _command(found, folder / "disturbed", server.url, settings)
        stored = _with_kills(command, folder / "disturbed", server, outcome, kills, seed)
        finish(command)
        outcome.seconds = (middle - began, time.monotonic() - middle)
    ledger = server.ledger
    outcome.sent = sum(ledger.received.values())
    outcome.faults = dict(ledger.faults)
    outcome.lost = sum(ledger.lost.values())
    outcome.answered_twice = sum(count > 1 for count in ledger.delivered.values())
    outcome.asked_though_stored = sum(ledger.received[key] - count for key, count in stored.items())
    _compare(folder, outcome)
    return outcome


def _with_kills(
    command: list[str], out: Path, server: OmniServer, outcome: Outcome, kills: int, seed: int
) -> dict[str, int]:
    """Start and kill the job; how often each stored question had been asked when first seen."""
    rng = random.Random(f"kills {seed}")
    shares = sorted(rng.uniform(0.05, 0.9) for _ in range(kills))
    stored: dict[str, int] = {}
    for share in shares:
        process = _start(command)
        target = int(share * outcome.needed)
        while process.poll() is None and len(server.ledger.delivered) < target:
            time.sleep(0.005)
        if process.poll() is not None:
            raise SystemExit(f"a command ended before its kill:\n{_output(process)[-3000:]}")
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.3)  # what the server had begun by then
        for key in _stored_keys(out):
            stored.setdefault(key, server.ledger.received[key])
        outcome.killed_at.append(len(server.ledger.delivered))
        outcome.stored_at.append(len(_stored_keys(out)))
    return stored


def _compare(folder: Path, outcome: Outcome) -> None:
    """Bytes of all files but the log, whose order is free, and the responses of the logs."""
    sides = [folder / name for name in ("undisturbed", "disturbed")]
    one, two = (_report(side) for side in sides)
    outcome.files = len(one)
    outcome.report_identical = one == two and len(one) > 0
    logs = [_responses(side / "responses.jsonl") for side in sides]
    outcome.answers_identical = logs[0] == logs[1]


def _report(out: Path) -> dict[str, bytes]:
    files = [path for path in out.rglob("*") if path.is_file() and "cache" not in path.parts]
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in files
        if path.name != "responses.jsonl"
    }


def _responses(log: Path) -> dict[tuple[int, str], Response]:
    return dict(read_log(log).responses)


def _stored_keys(out: Path) -> list[str]:
    return [path.stem for path in (out / "cache").rglob("*.json")]


def _command(questions: Path, out: Path, url: str, settings: str) -> list[str]:
    options = {
        "--model": f"{url}#letters",
        "--setting": settings,
        "--out": str(out),
        "--cache": str(out / "cache"),
        "--timeout": "1",
        "--first-wait": "0.05",
        "--concurrency": "8",
    }
    flat = [word for pair in options.items() for word in pair]
    return ["omnibench", "run", str(questions), *flat]


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vlsuite", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _finish(command: list[str]) -> None:
    process = _start(command)
    try:
        output, _ = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        raise SystemExit(f"a command hangs:\n{_output(process)[-3000:]}") from None
    if process.returncode:
        raise SystemExit(f"a command ended with {process.returncode}:\n{output[-3000:]}")


def _output(process: subprocess.Popen[str]) -> str:
    return process.communicate()[0]


def main() -> None:
    args = _parse()
    described = environment.describe()  # of the code that is about to run
    folder = Path(tempfile.mkdtemp(prefix="omnibench-faults-"))
    outcome = measure(
        folder, questions=args.questions, settings="all", kills=args.kills, seed=args.seed
    )
    _print(outcome)
    ok = outcome.report_identical and outcome.answers_identical and not outcome.asked_though_stored
    if ok:
        shutil.rmtree(folder)
    else:
        print(f"runs: {folder}")
    report.finish(
        "omnibench_faults",
        {
            "requests_sent": outcome.sent,
            "requests_needed": outcome.needed,
            "report_identical": outcome.report_identical,
            "answers_identical": outcome.answers_identical,
            "files_compared": outcome.files,
            "asked_though_stored": outcome.asked_though_stored,
            "answered_twice": outcome.answered_twice,
            "answers_lost_by_faults": outcome.lost,
            "faults": outcome.faults,
            "killed_at_answers": outcome.killed_at,
            "stored_at_kill": outcome.stored_at,
            "seconds_undisturbed": round(outcome.seconds[0], 1),
            "seconds_disturbed": round(outcome.seconds[1], 1),
        },
        described,
        config={"questions": args.questions, "kills": args.kills, "seed": args.seed},
        save=args.save,
    )
    if not ok:
        raise SystemExit(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.omnibench_faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--questions", type=int, default=120, help="in the set (default 120)")
    parser.add_argument("--kills", type=int, default=5, help="of the command (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="of questions, faults and kills")
    parser.add_argument("--quick", action="store_true", help="10 questions, 1 kill")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        args.questions, args.kills = 10, 1
    return args


def _print(outcome: Outcome) -> None:
    injected = sum(outcome.faults.values())
    print(f"requests needed          {outcome.needed}")
    print(f"requests sent            {outcome.sent}")
    print(f"  of them faults         {injected}: {outcome.faults}")
    print(f"  under way at a kill    {outcome.sent - outcome.needed - injected}")
    print(f"killed at (answers sent) {outcome.killed_at}, stored by then {outcome.stored_at}")
    print(f"asked though stored      {outcome.asked_though_stored}")
    print(f"answered twice           {outcome.answered_twice} (sent, but killed before storing)")
    print(f"answers lost by faults   {outcome.lost}")
    print(f"responses identical      {outcome.answers_identical}")
    print(f"report identical         {outcome.report_identical} ({outcome.files} files)")
    print(
        f"seconds                  {outcome.seconds[0]:.1f} undisturbed, "
        f"{outcome.seconds[1]:.1f} with faults and kills"
    )


if __name__ == "__main__":
    run_as_program(main)
