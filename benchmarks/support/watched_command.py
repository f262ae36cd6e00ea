"""One command of the product in a process of its own, with its memory, time and what it said.

Forked from this process, which has imported what every command needs once; everything after the
imports is what ``vlsuite`` does. ``cold`` starts a plain interpreter instead.
"""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_MOST_BYTES = 6 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a command.

    Attributes:
        code: exit code; minus the signal's number where one ended it.
        timed_out: whether it was ended for taking too long.
        peak_bytes: resident memory of its largest process at the highest point.
        seconds: from start to end, by the clock.
        cpu_seconds: of all its processes.
        out, err: what it said.
    """

    code: int
    timed_out: bool
    peak_bytes: int
    seconds: float
    cpu_seconds: float
    out: bytes
    err: bytes


def run_watched(
    words: Sequence[str],
    *,
    place: Path,
    environment: Mapping[str, str],
    log: Path,
    limit: float,
    cold: bool = False,
) -> Outcome:
    """Run ``vlsuite`` with these words.

    Args:
        place: working folder.
        environment: all of it.
        log: prefix of the files that hold what it says.
        limit: seconds until it is killed, with all its processes.
    """
    return watch(
        lambda: _exec(words, environment) if cold else _command(words),
        place=place,
        environment=environment,
        log=log,
        limit=limit,
    )


def watch(
    action: Callable[[], object],
    *,
    place: Path,
    environment: Mapping[str, str],
    log: Path,
    limit: float,
) -> Outcome:
    """Run any function in a forked process; see ``run_watched``."""
    files = [log.with_name(f"{log.name}.{kind}") for kind in ("out", "err")]
    sys.stdout.flush()
    sys.stderr.flush()
    start = time.monotonic()
    number = os.fork()
    if number == 0:
        _in_child(action, place, environment, files)
    status, usage, timed_out = _wait(number, start + limit)
    return Outcome(
        code=os.waitstatus_to_exitcode(status),
        timed_out=timed_out,
        peak_bytes=usage.ru_maxrss * 1024,
        seconds=time.monotonic() - start,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        out=files[0].read_bytes(),
        err=files[1].read_bytes(),
    )


def _in_child(
    action: Callable[[], object], place: Path, environment: Mapping[str, str], files: list[Path]
) -> None:
    code = 1
    try:
        os.setsid()
        # a case that asks for all memory must not end its neighbours
        resource.setrlimit(resource.RLIMIT_DATA, (_MOST_BYTES, _MOST_BYTES))
        for descriptor, file in enumerate(files, start=1):
            opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(opened, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(place)
        os.environ.clear()
        os.environ.update(environment)
        code = int(action() or 0)  # type: ignore[call-overload]
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _command(words: Sequence[str]) -> int:
    from vlsuite.cli.main import main

    sys.argv = ["vlsuite", *words]
    return main(list(words))


def _exec(words: Sequence[str], environment: Mapping[str, str]) -> None:
    command = [sys.executable, "-P", "-m", "vlsuite", *words]
    os.execve(sys.executable, command, dict(environment))


def _wait(number: int, until: float) -> tuple[int, resource.struct_rusage, bool]:
    timed_out = False
    while True:
        found, status, usage = os.wait4(number, os.WNOHANG)
        if found:
            _kill_group(number)  # what it left behind
            return status, usage, timed_out
        if not timed_out and time.monotonic() > until:
            timed_out = True
            _kill_group(number)
        time.sleep(0.01)


def _kill_group(number: int) -> None:
    try:
        os.killpg(number, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
