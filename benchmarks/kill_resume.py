"""Does a run that is killed at random moments end exactly as if nothing had happened?

Real two-process runs (gloo on CPU) under several ZeRO stages are killed with SIGKILL, all
processes or one of them, at random moments: while starting, restoring, training, or writing a
checkpoint. The same command is then started again (``--auto-resume``) until the run is complete.
Its losses must be bit for bit those of a run that was left alone, and its batches must hold every
uid exactly once an epoch.

Then a run continues with another number of processes and another ZeRO stage, and the largest
difference of its losses is reported.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.support import environment
from benchmarks.support.program import run_as_program
from benchmarks.support.real_runs import RunSettings, StartedRun, each_uid_once_an_epoch, make_data
from benchmarks.support.report import finish

#: Batches of 32: about 9 steps an epoch.
NUM_SAMPLES = 300

_TIMEOUT = 300.0  # seconds a start may take before it counts as hanging


@dataclass
class Outcome:
    """What came of all kills."""

    kills: int = 0
    identical_loss: int = 0
    uids_exactly_once: int = 0
    runs: int = 0
    restarts: list[float] = field(default_factory=list)
    tracebacks: int = 0
    moments: Counter = field(default_factory=Counter)
    ends_of_survivors: Counter = field(default_factory=Counter)


def main() -> None:
    args = _parse()
    described = environment.describe()  # of the code that is about to run
    folder = Path(tempfile.mkdtemp(prefix="kill-resume-"))
    make_data(folder, num_samples=NUM_SAMPLES, seed=args.seed)
    stages = [int(stage) for stage in args.stages.split(",")]
    rng = random.Random(args.seed)
    outcome = Outcome()
    references = {stage: _undisturbed(folder, stage, args) for stage in stages}
    while outcome.kills < args.kills:
        stage = stages[outcome.runs % len(stages)]
        reference, seconds = references[stage]
        run_with_kills(reference, seconds, outcome, rng, limit=args.kills)
    elastic = _elastic(references[stages[0]][0]) if not args.no_elastic else {}
    cold = _cold_restart(references[stages[0]][0]) if not args.no_elastic else None
    _print(outcome, elastic)
    ok = outcome.identical_loss == outcome.uids_exactly_once == outcome.kills
    if ok and not args.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"run folders and logs: {folder}")
    finish(
        "kill_resume",
        {
            "kills": outcome.kills,
            "identical_loss": outcome.identical_loss,
            "uids_exactly_once": outcome.uids_exactly_once,
            "max_restart_s": round(max(outcome.restarts, default=0.0), 2),
            "cold_restart_s": cold,
            "elastic_max_loss_diff": elastic,
            "runs": outcome.runs,
            "moments": dict(outcome.moments),
            "survivors_exit_codes": dict(outcome.ends_of_survivors),
            "survivors_with_traceback": outcome.tracebacks,
        },
        described,
        config={"stages": stages, "processes": 2, "steps": args.steps, "seed": args.seed},
        save=args.save,
    )
    if not ok:
        raise SystemExit(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.kill_resume",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kills", type=int, default=100, help="in all (default 100)")
    parser.add_argument("--steps", type=int, default=40, help="of each run (default 40)")
    parser.add_argument("--stages", default="1,3", help="ZeRO stages, in turn (default 1,3)")
    parser.add_argument("--seed", type=int, default=0, help="of data, kills and training")
    parser.add_argument("--quick", action="store_true", help="3 kills, 12 steps, ZeRO 1")
    parser.add_argument("--no-elastic", action="store_true", help="only the kills")
    parser.add_argument("--keep", action="store_true", help="leave run folders and logs")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        args.kills, args.steps, args.stages, args.no_elastic = 3, 12, "1", True
    return args


def run_with_kills(
    reference: RunSettings, seconds: float, outcome: Outcome, rng: random.Random, *, limit: int
) -> None:
    """Bring one run to its end through random kills, and compare it with ``reference``.

    Args:
        reference: a finished, undisturbed run of the same settings.
        seconds: it took; kills come within this time after a start.
        limit: of ``outcome.kills``.
    """
    settings = replace(reference, out=reference.out.with_name(f"killed-{outcome.runs:03d}"))
    kills = 0
    for start in range(10_000):
        run = StartedRun(settings, settings.out.with_suffix(f".{start}.log"))
        if outcome.kills + kills < limit and _kill_in(run, rng, seconds, outcome):
            kills += 1
            _show(outcome.kills + kills, limit, outcome.runs)
            continue
        codes = run.wait(timeout=_TIMEOUT)
        if codes != [0] * settings.processes:
            raise SystemExit(f"a continued run ended with {codes}:\n{run.output()[-3000:]}")
        break
    outcome.runs += 1
    outcome.kills += kills
    identical = settings.losses() == reference.losses()
    uids = settings.uids()
    once = uids == reference.uids() and each_uid_once_an_epoch(uids, num_samples=NUM_SAMPLES)
    outcome.identical_loss += kills * identical
    outcome.uids_exactly_once += kills * once
    if identical and once:
        shutil.rmtree(settings.out)


def _kill_in(run: StartedRun, rng: random.Random, seconds: float, outcome: Outcome) -> bool:
    """Kill all processes or one after a random time; whether they were alive to be killed."""
    delay = rng.uniform(0.0, seconds)
    everyone = list(range(run.settings.processes))
    victims = rng.choice([everyone, everyone, [rng.choice(everyone)]])
    first_step = run.first_step_after(timeout=delay)
    if first_step is not None:
        outcome.restarts.append(first_step)
    time.sleep(max(0.0, run.started + delay - time.monotonic()))
    if not run.kill(victims):
        return False
    codes = run.wait(timeout=_TIMEOUT)
    if None in codes:
        raise SystemExit(f"a process outlives its killed peer: {codes}\n{run.output()[-3000:]}")
    survivors = [r for r in everyone if r not in victims]
    outcome.ends_of_survivors.update(str(codes[r]) for r in survivors)
    if survivors and "Traceback" in run.output():
        outcome.tracebacks += 1
        print(run.output()[-2000:], file=sys.stderr, flush=True)
    saving = any(run.settings.out.glob("checkpoints/.step_*.tmp"))
    moment = "saving" if saving else "training" if first_step is not None else "starting"
    outcome.moments[moment] += 1
    return True


def _undisturbed(folder: Path, stage: int, args: argparse.Namespace) -> tuple[RunSettings, float]:
    """A run that is left alone, and its seconds."""
    settings = RunSettings(
        data=folder,
        out=folder / f"undisturbed-zero{stage}",
        stage=stage,
        processes=2,
        steps=args.steps,
        overrides=(f"seed={args.seed}", "checkpoint.keep=1000"),
    )
    _warm_up(settings)
    run = StartedRun(settings, folder / f"undisturbed-zero{stage}.log")
    codes = run.wait(timeout=_TIMEOUT)
    seconds = time.monotonic() - run.started
    if codes != [0, 0]:
        raise SystemExit(f"the undisturbed run ended with {codes}:\n{run.output()[-3000:]}")
    print(f"undisturbed, ZeRO {stage}: {args.steps} steps, {seconds:.1f}s", file=sys.stderr)
    return settings, seconds


def _warm_up(settings: RunSettings) -> None:
    """One step, so that the seconds of the run that is timed are those of every later one."""
    folder = settings.data
    run = StartedRun(replace(settings, out=folder / "warm-up", steps=1), folder / "warm-up.log")
    run.wait(timeout=_TIMEOUT)


def _elastic(reference: RunSettings) -> dict[str, float]:
    """Largest difference of losses when the second half runs on other processes and stages."""
    half = reference.steps // 2 // 3 * 3  # a checkpoint is written every 3 steps
    found = {}
    for processes, stage in ((1, reference.stage), (2, 3), (1, 3)):
        settings = replace(
            reference,
            out=reference.out.with_name(f"elastic-{processes}-{stage}"),
            stage=stage,
            processes=processes,
        )
        shutil.copytree(reference.out, settings.out)
        for path in (settings.out / "checkpoints").iterdir():
            if int(path.name.removeprefix("step_")) > half:
                shutil.rmtree(path)
        run = StartedRun(settings, settings.out.with_suffix(".log"))
        codes = run.wait(timeout=_TIMEOUT)
        if codes != [0] * processes:
            raise SystemExit(f"the elastic run ended with {codes}:\n{run.output()[-3000:]}")
        pairs = zip(reference.losses(), settings.losses(), strict=True)
        name = f"2 processes ZeRO {reference.stage} to {processes} ZeRO {stage}"
        found[name] = max(abs(a - b) for a, b in pairs)
    return found


def _cold_restart(reference: RunSettings) -> float | None:
    """Seconds from the command to the first step of a continued run, imports included."""
    settings = replace(reference, out=reference.out.with_name("cold"), steps=reference.steps + 3)
    shutil.copytree(reference.out, settings.out)
    run = StartedRun(settings, settings.out.with_suffix(".log"), cold=True)
    seconds = run.first_step_after(timeout=_TIMEOUT)
    run.wait(timeout=_TIMEOUT)
    return None if seconds is None else round(seconds, 2)


def _show(done: int, total: int, run: int) -> None:
    print(f"kill {done} of {total} (run {run})", file=sys.stderr, flush=True)


def _print(outcome: Outcome, elastic: dict[str, float]) -> None:
    restarts = sorted(outcome.restarts) or [0.0]
    print(f"kills                     {outcome.kills} in {outcome.runs} runs")
    print(f"  moments                 {dict(outcome.moments)}")
    print(f"  exit of surviving peers {dict(outcome.ends_of_survivors)}")
    print(f"  of them with traceback  {outcome.tracebacks}")
    print(f"identical losses          {outcome.identical_loss}")
    print(f"every uid once an epoch   {outcome.uids_exactly_once}")
    print(
        f"restart to first step     median {restarts[len(restarts) // 2]:.1f}s, "
        f"largest {restarts[-1]:.1f}s (imports done before)"
    )
    for name, difference in elastic.items():
        print(f"{name}: largest loss difference {difference:.1e}")


if __name__ == "__main__":
    run_as_program(main)
