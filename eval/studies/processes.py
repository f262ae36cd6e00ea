"""Tasks of a study in processes of their own, some at a time, each with a log."""

import gc
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import torch

from data_pipelines.end_with_parent import end_with_parent
from eval.errors import EvaluationError
from vlsuite.errors import UserError

_TOLD_EVERY = 30.0  # seconds without a finished task after which the logs are looked at


class Task(NamedTuple):
    """One call in a process of its own; ``name`` is that of its log."""

    name: str
    function: Callable[..., None]
    arguments: tuple


def task_pool(jobs: int, *, threads: int, preload: Sequence[str]) -> ProcessPoolExecutor:
    """A new process for each task: a process group and a DeepSpeed engine are for one run.

    Args:
        jobs: processes at a time.
        threads: of each.
        preload: modules that the processes start with.
    """
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return ProcessPoolExecutor(jobs, mp_context=context, max_tasks_per_child=1, initializer=_begin)


def _begin() -> None:
    """In the new process: the imports, which it shares with the others, hold no garbage.

    To look for some would copy all their pages, in 0.3 s a time.
    """
    gc.freeze()
    end_with_parent()


def run_tasks(pool: ProcessPoolExecutor, tasks: Sequence[Task], logs: Path, *, what: str) -> float:
    """Run all tasks, saying on standard error how far they are.

    Args:
        logs: folder of the logs; it is there.
        what: a task is called in what is said.
    Returns:
        Processor seconds of the tasks, which other work on the machine does not add to.
    Raises:
        EvaluationError: some failed; the others are finished first.
    """
    started, failed, spent_computing = time.perf_counter(), [], 0.0
    waiting: dict[Future, str] = {
        pool.submit(_logged, logs / f"{name}.log", function, arguments): name
        for name, function, arguments in tasks
    }
    for number, (name, error, computed) in enumerate(_finished(waiting, logs), start=1):
        spent_computing += computed
        spent = time.perf_counter() - started
        left = spent / number * (len(tasks) - number)
        said = "done" if error is None else f"FAILED: {error}"
        print(
            f"{what} {number}/{len(tasks)} {name} {said} "
            f"({spent / 60:.1f} min, about {left / 60:.1f} left)",
            file=sys.stderr,
            flush=True,
        )
        if error is not None:
            failed.append(name)
    if failed:
        raise EvaluationError(
            f"{len(failed)} of {len(tasks)} runs failed ({', '.join(failed[:3])}); "
            f"{logs} says why; the same command repeats them"
        )
    return spent_computing


def _finished(waiting: dict[Future, str], logs: Path) -> Iterator[tuple[str, str | None, float]]:
    """Name, error and processor seconds of each task as it ends."""
    told: dict[str, str] = {}
    while waiting:
        done, _ = wait(waiting, timeout=_TOLD_EVERY, return_when=FIRST_COMPLETED)
        if not done:
            _tell(waiting, logs, told)
        for future in done:
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                raise EvaluationError(
                    "a run was killed (out of memory?); the same command goes on from here, "
                    "with fewer --jobs it needs less memory"
                )
            if error is None:
                yield waiting.pop(future), None, future.result()
            else:
                yield waiting.pop(future), " ".join(str(error).split()), 0.0


def _tell(waiting: dict[Future, str], logs: Path, told: dict[str, str]) -> None:
    """The newest line of each log that has one."""
    for future, name in waiting.items():
        try:
            content = (logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        last = content.replace("\r", "\n").rstrip().rpartition("\n")[2].strip()
        if future.running() and last and told.get(name) != last:
            told[name] = last
            print(f"  {name}: {last[:140]}", file=sys.stderr, flush=True)


def _logged(log: Path, function: Callable[..., None], arguments: tuple) -> float:
    """In the task's own process: what it says goes to its log; errors come back as one line.

    Returns:
        Processor seconds.
    """
    began = time.process_time()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)
    try:
        function(*arguments)
    except UserError as error:
        raise RuntimeError(str(error)) from None
    except Exception as error:
        import traceback

        traceback.print_exc()
        raise RuntimeError(f"{type(error).__name__}: {error}") from None
    return time.process_time() - began
