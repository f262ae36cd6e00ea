"""Run a trainer as a process of its own and note when each line of its output arrives."""

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.errors import UserError

#: Left out of a child's environment, so that each trainer sees only its own packages.
_PYTHON_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


class BenchmarkError(UserError):
    """A benchmark cannot run, or one of the programs it compares has failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedLine:
    """One line of output and when it arrived, in seconds since the process started."""

    seconds: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessReport:
    """A finished process.

    Attributes:
        lines: standard output and standard error together.
        seconds: wall clock from start to exit.
        peak_bytes: resident memory of its largest process at the highest point.
    """

    lines: tuple[TimedLine, ...]
    seconds: float
    peak_bytes: int


def run_timed(
    command: Sequence[str | Path], *, cwd: Path, threads: int, log: Path
) -> ProcessReport:
    """Run ``command`` to its end on the CPU.

    Args:
        threads: for OpenMP and MKL in the process and its children.
        log: everything the process printed is written here.
    Raises:
        BenchmarkError: it exits with another code than 0; the message ends with its last line.
    """
    words = [str(word) for word in command]
    started = time.perf_counter()
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env=_environment(threads),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    lines = tuple(
        TimedLine(seconds=time.perf_counter() - started, text=line.rstrip("\n"))
        for line in process.stdout
    )
    # wait4 gives the memory of this one child; getrusage(RUSAGE_CHILDREN) mixes all of them
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    log.write_text("\n".join([shlex.join(words), *(line.text for line in lines)]) + "\n")
    if process.returncode != 0:
        last = next((line.text for line in reversed(lines) if line.text.strip()), "no output")
        raise BenchmarkError(
            f"{Path(words[0]).name} exited with code {process.returncode}: {last.strip()[:200]} "
            f"(command and output: {log})"
        )
    return ProcessReport(lines=lines, seconds=seconds, peak_bytes=usage.ru_maxrss * 1024)


@contextmanager
def work_folder(name: str, *, parent: Path | None) -> Iterator[Path]:
    """A new folder, removed when the block succeeds and left for inspection when it fails.

    Args:
        parent: None for the system's temporary folder.
    """
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent)).resolve()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _environment(threads: int) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in _PYTHON_VARIABLES}
    return kept | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": "",
    }
