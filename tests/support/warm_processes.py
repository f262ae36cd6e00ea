"""Processes forked from a server that has imported torch and the packages once.

For several ranks, and for what is killed, where the way a process starts is not what is tested.
Each is a process of its own, with its own standard streams, environment and working folder; only
the imports (about ten seconds of CPU each) are shared. The server itself computes nothing, so
that no thread is lost in a fork.
"""

import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks.support.real_runs import free_port, rank_environment

_ROOT = Path(__file__).parents[2]
_LAUNCHER_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


def start(
    function: Callable[..., object],
    *arguments: object,
    log: Path | None = None,
    place: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> BaseProcess:
    """Run a function of a module in a new process.

    Args:
        function: found again by its module and name.
        arguments: pickled.
        log: standard output and error are added to it; None leaves them where they are.
        place: working folder; None means this process's.
        environment: added to this process's, without what a launcher or a training run left there.
    """
    variables = {k: v for k, v in os.environ.items() if k not in _LAUNCHER_VARIABLES}
    variables |= {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", **(environment or {})}
    process = ensure_server().Process(
        target=_run, args=(function, arguments, log, place or Path.cwd(), variables)
    )
    process.start()
    return process


def start_command(*words: object, log: Path, place: Path | None = None, **more: Any) -> BaseProcess:
    """Run ``vlsuite`` with these arguments in a new process; see :func:`start`."""
    return start(command, [str(word) for word in words], log=log, place=place, **more)


def start_ranks(
    world_size: int, function: Callable[..., object], *arguments: object, log: Path | None = None
) -> list[BaseProcess]:
    """One process for each rank, with the variables that a launcher on one machine sets."""
    port = free_port()
    return [
        start(function, *arguments, log=log, environment=rank_environment(rank, world_size, port))
        for rank in range(world_size)
    ]


def exit_codes(processes: Sequence[BaseProcess], *, timeout: float = 240.0) -> list[int | None]:
    """Wait for all; what still runs after ``timeout`` seconds is killed, and its code is None."""
    until = time.monotonic() + timeout
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
    codes = [process.exitcode for process in processes]
    for process in processes:
        if process.exitcode is None:
            process.kill()
            process.join()
    return codes


def command(words: list[str]) -> None:
    """In the new process: ``vlsuite`` with these arguments, up to its exit."""
    from vlsuite.cli.main import main

    sys.argv = ["vlsuite", *words]
    sys.exit(main(words))


def ensure_server() -> ForkServerContext:
    """The server, running; it starts in the repository, whose packages are to be imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.support.warm_imports"])
    with chdir(_ROOT), _quiet_environment():
        forkserver.ensure_running()
    return context


@contextmanager
def _quiet_environment() -> Iterator[None]:
    """One thread, no GPU and no launcher for what is imported meanwhile."""
    before = dict(os.environ)
    for name in _LAUNCHER_VARIABLES:
        os.environ.pop(name, None)
    os.environ |= {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _run(
    function: Callable[..., object],
    arguments: tuple[object, ...],
    log: Path | None,
    place: Path,
    variables: Mapping[str, str],
) -> None:
    """In the new process: what the server imported is not looked through for garbage.

    That would copy every page of it: 0.3 s of CPU.
    """
    gc.freeze()
    if log is not None:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(variables)
    function(*arguments)
