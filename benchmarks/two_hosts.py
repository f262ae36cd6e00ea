"""What happens to a run over two hosts when the network between them fails?

Two hosts are made on this machine: network namespaces joined by a veth pair (iproute2, as root).
torchrun starts one process of a real run on each, with gloo over that link. In mid-run the link is
cut, silently, as a pulled cable does. Both sides must notice within the stated time
(``stall_timeout`` plus what the launcher needs), stop with a clear message, and after the link is
mended the same commands must continue to the losses of a run that was left alone.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.support import environment
from benchmarks.support.program import run_as_program
from benchmarks.support.real_runs import RunSettings, each_uid_once_an_epoch, make_data
from benchmarks.support.report import finish

NUM_SAMPLES = 300

_PORT = 29571
_TIMEOUT = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a cut did.

    Attributes:
        detected_s: from the cut to the exit of the launcher on each host.
        messages: whether the process on each host said in one line what happened.
        codes: exit codes of the two launchers.
        continued_identical: losses and uids after continuing equal the undisturbed ones.
    """

    detected_s: tuple[float, float]
    messages: tuple[bool, bool]
    codes: tuple[int, int]
    continued_identical: bool


class Hosts:
    """Two network namespaces and the link between them.

    Args:
        name: prefix of both; unique on this machine.
    """

    def __init__(self, name: str) -> None:
        self.names = (f"{name}-a", f"{name}-b")
        self.interface = "vlink"
        self.addresses = ("10.213.77.1", "10.213.77.2")

    def make(self) -> None:
        """Create both and join them."""
        a, b = self.names
        for name in self.names:
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        peer = ("peer", "name", self.interface, "netns", b)
        _ip("-n", a, "link", "add", self.interface, "type", "veth", *peer)
        for name, address in zip(self.names, self.addresses, strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", self.interface)
        self.join()

    def join(self) -> None:
        """Put the link up."""
        for name in self.names:
            _ip("-n", name, "link", "set", self.interface, "up")

    def cut(self) -> None:
        """Take the link down; no connection is closed."""
        _ip("-n", self.names[1], "link", "set", self.interface, "down")

    def remove(self) -> None:
        """Remove both with everything in them."""
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def why_not_permitted() -> str | None:
    """The reason why namespaces cannot be made here, None where they can."""
    if shutil.which("ip") is None:
        return "iproute2 (the command 'ip') is not installed"
    name = f"vlsuite-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces are not permitted: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return None


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Two joined hosts for the length of the block."""
    hosts = Hosts(f"vlsuite-{os.getpid()}")
    try:
        hosts.make()
        yield hosts
    finally:
        hosts.remove()


def main() -> None:
    args = _parse()
    reason = why_not_permitted()
    if reason:
        raise SystemExit(f"error: {reason}; run as root on a Linux with iproute2")
    folder = Path(tempfile.mkdtemp(prefix="two-hosts-"))
    outcome = measure(
        folder, steps=args.steps, cut_at=args.steps // 3, limit=args.stall_timeout, seed=args.seed
    )
    names = ("host a (rank 0)", "host b (rank 1)")
    for name, seconds, said in zip(names, outcome.detected_s, outcome.messages, strict=True):
        print(f"{name}: stopped {seconds:.1f}s after the cut, clear message: {said}")
    print(f"launchers' exit codes {outcome.codes}; continued identical: ", end="")
    print(outcome.continued_identical)
    finish(
        "two_hosts",
        {
            "detected_s": max(outcome.detected_s),
            "continued_identical": outcome.continued_identical,
            "clear_messages": all(outcome.messages),
            "exit_codes": outcome.codes,
        },
        environment.describe(),
        config={"steps": args.steps, "stall_timeout": args.stall_timeout, "seed": args.seed},
        save=args.save,
    )
    if not (outcome.continued_identical and all(outcome.messages)):
        raise SystemExit(f"error: see the logs in {folder}")
    shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, *, steps: int, cut_at: int, limit: float, seed: int) -> Outcome:
    """Cut the link of a run and continue it.

    Args:
        folder: for data, runs and logs.
        steps: of the run.
        cut_at: step after which the link is cut.
        limit: stall_timeout of the run, in seconds.
    """
    make_data(folder, num_samples=NUM_SAMPLES, seed=seed)
    settings = RunSettings(
        data=folder,
        out=folder / "cut",
        stage=1,
        processes=2,
        steps=steps,
        overrides=(f"stall_timeout={limit}", f"seed={seed}"),
    )
    reference = replace(settings, out=folder / "undisturbed")
    with two_hosts() as hosts:
        _expect_success(_start(reference, hosts, folder, "undisturbed"), folder, "undisturbed")
        launchers = _start(settings, hosts, folder, "cut")
        _wait_for_step(folder / "cut-0.log", cut_at, launchers)
        hosts.cut()
        seconds = _seconds_until_exit(launchers)
        logs = [(folder / f"cut-{number}.log").read_text(errors="replace") for number in (0, 1)]
        hosts.join()
        _expect_success(_start(settings, hosts, folder, "continued"), folder, "continued")
    uids = settings.uids()
    return Outcome(
        detected_s=seconds,
        messages=(_is_clear(logs[0]), _is_clear(logs[1])),
        codes=(launchers[0].returncode, launchers[1].returncode),
        continued_identical=settings.losses() == reference.losses()
        and len(settings.losses()) == steps
        and uids == reference.uids()
        and each_uid_once_an_epoch(uids, num_samples=NUM_SAMPLES),
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.two_hosts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=120, help="of the run (default 120)")
    parser.add_argument(
        "--stall-timeout", type=float, default=15.0, help="seconds (default 15; training: 600)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of data and training")
    parser.add_argument("--quick", action="store_true", help="45 steps, stall_timeout 5")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        args.steps, args.stall_timeout = 45, 5.0
    return args


def _start(
    settings: RunSettings, hosts: Hosts, folder: Path, name: str
) -> tuple[subprocess.Popen, subprocess.Popen]:
    """torchrun on both hosts."""
    started = []
    for number in (0, 1):
        command = [
            *("ip", "netns", "exec", hosts.names[number]),
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"),
            *(f"--node-rank={number}", f"--master-addr={hosts.addresses[0]}"),
            *(f"--master-port={_PORT}", "-m", "vlsuite", *settings.arguments()),
        ]
        env = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "DS_ACCELERATOR": "cpu",
            "GLOO_SOCKET_IFNAME": hosts.interface,
        }
        with (folder / f"{name}-{number}.log").open("wb") as log:
            started.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))
    return started[0], started[1]


def _expect_success(launchers: tuple[subprocess.Popen, ...], folder: Path, name: str) -> None:
    codes = [launcher.wait(timeout=_TIMEOUT) for launcher in launchers]
    if any(codes):
        logs = "\n".join((folder / f"{name}-{n}.log").read_text()[-1500:] for n in (0, 1))
        raise SystemExit(f"error: the run '{name}' ended with {codes}:\n{logs}")


def _wait_for_step(log: Path, step: int, launchers: tuple[subprocess.Popen, ...]) -> None:
    until = time.monotonic() + _TIMEOUT
    while f"\nstep {step}/" not in log.read_text(errors="replace"):
        if time.monotonic() > until or any(launcher.poll() is not None for launcher in launchers):
            raise SystemExit(f"error: no step {step}:\n{log.read_text()[-2000:]}")
        time.sleep(0.02)


def _seconds_until_exit(launchers: tuple[subprocess.Popen, ...]) -> tuple[float, float]:
    begun = time.monotonic()
    ended: dict[int, float] = {}
    while len(ended) < len(launchers):
        for number, launcher in enumerate(launchers):
            if number not in ended and launcher.poll() is not None:
                ended[number] = time.monotonic() - begun
        if time.monotonic() - begun > _TIMEOUT:
            raise SystemExit(f"error: a host did not notice the cut within {_TIMEOUT:.0f}s")
        time.sleep(0.02)
    return ended[0], ended[1]


def _is_clear(log: str) -> bool:
    """Whether the training process named the cause in one line of its own."""
    return "error: lost contact with another process" in log or "error: no progress for" in log


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"error: 'ip {' '.join(words)}' failed: {done.stderr.strip()}")


if __name__ == "__main__":
    run_as_program(main)
