"""Runs what is missing of a study, several runs at a time, and keeps what is finished."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from data_pipelines.end_with_parent import end_with_parent
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of
from eval.errors import EvaluationError
from eval.studies.noise.cell import is_done, train_cell
from eval.studies.noise.grid import Cell, StudyConfig
from eval.studies.noise.methods import METHODS
from eval.studies.noise.sets import StudySets, make_noisy, make_noisy_validation, make_sets
from eval.studies.noise.training import StudyFolders, pretrain
from eval.studies.noise.tuning import next_trials, train_trial, tuning_cell, write_tuning
from vlsuite.errors import UserError

_PRELOADED = ("deepspeed", "open_clip", "sklearn.mixture", "eval.studies.noise.cell")


def run_study(
    config: StudyConfig, cells: Sequence[Cell], out: Path, *, jobs: int = 1
) -> StudyFolders:
    """Make the sets and the common starts, choose learning rates, then run every missing cell.

    A study that was stopped, by whatever means, goes on with the runs that are missing; a run is a
    minute or two of work and starts anew.

    Args:
        jobs: runs at a time, each with ``config.threads`` threads.
    Raises:
        EvaluationError: ``out`` holds a study of other settings, or runs failed; the others are
            finished first.
    """
    folders = StudyFolders(out)
    missing = [cell for cell in cells if not is_done(folders, cell, config)]
    if not missing:
        return folders
    (out / "logs").mkdir(parents=True, exist_ok=True)
    (out / "sets").mkdir(exist_ok=True)
    sets = make_sets(config, out / "sets")
    _make_tokenizer(config, folders)
    methods = [cell.method for cell in missing]
    trials = next_trials(config, folders, methods)
    wanted = [*missing, *(tuning_cell(config, trial) for trial in trials)]
    with _pool(config, jobs) as pool:
        if config.pretrain_share:
            seeds = sorted({cell.seed for cell in wanted})
            seeds = [s for s in seeds if not (folders.pretrained(s) / "export").is_dir()]
            starts = [(f"pretrained-seed{s}", pretrain, (config, folders, s)) for s in seeds]
            _run_all(pool, starts, out, what="start")
        _make_noise(sets, wanted)
        if trials:
            for rate in sorted({trial.rate for trial in trials}):
                make_noisy_validation(sets, rate=rate, seed=config.tune_seed)
        while trials:
            tasks = [(trial.name, train_trial, (config, folders, trial)) for trial in trials]
            _run_all(pool, tasks, out, what="learning rate")
            trials = next_trials(config, folders, methods)
        rates = _learning_rates(config, folders, missing)
        tasks = [(c.name, train_cell, (config, folders, c, rates[c.method])) for c in missing]
        _run_all(pool, tasks, out, what="run")
    return folders


def _make_noise(sets: StudySets, cells: Sequence[Cell]) -> None:
    for rate, seed, clean in sorted(
        {(c.rate, c.seed, False) for c in cells}
        | {(c.rate, c.seed, True) for c in cells if METHODS[c.method].clean_only}
    ):
        make_noisy(sets, rate=rate, seed=seed, clean_only=clean)


def _learning_rates(
    config: StudyConfig, folders: StudyFolders, cells: Sequence[Cell]
) -> dict[str, float]:
    if config.lr is not None:
        return dict.fromkeys((cell.method for cell in cells), config.lr)
    chosen = write_tuning(config, folders)["methods"]
    return {cell.method: chosen[cell.method]["lr"] for cell in cells}


_Task = tuple[str, Callable[..., None], tuple]


def _run_all(pool: ProcessPoolExecutor, tasks: Sequence[_Task], out: Path, *, what: str) -> None:
    started, failed = time.perf_counter(), []
    waiting: dict[Future, str] = {
        pool.submit(_logged, out / "logs" / f"{name}.log", function, arguments): name
        for name, function, arguments in tasks
    }
    for number, (name, error) in enumerate(_finished(waiting), start=1):
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
            f"{out / 'logs'} says why; the same command repeats them"
        )


def _finished(waiting: dict[Future, str]) -> Iterator[tuple[str, str | None]]:
    while waiting:
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            error = future.exception()
            if isinstance(error, BrokenProcessPool):
                raise EvaluationError(
                    "a run was killed (out of memory?); the same command goes on from here, "
                    "with fewer --jobs it needs less memory"
                )
            yield waiting.pop(future), None if error is None else " ".join(str(error).split())


def _pool(config: StudyConfig, jobs: int) -> ProcessPoolExecutor:
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ["OMP_NUM_THREADS"] = str(config.threads)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    # a process group and a DeepSpeed engine are for one run a process
    return ProcessPoolExecutor(
        jobs, mp_context=context, max_tasks_per_child=1, initializer=end_with_parent
    )


def _logged(log: Path, function: Callable[..., None], arguments: tuple) -> None:
    """In the run's own process: what it says goes to its log; errors come back as one line."""
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


def _make_tokenizer(config: StudyConfig, folders: StudyFolders) -> None:
    from vlsuite.batches.tokenizer import train_tokenizer
    from vlsuite.models.dual_encoder.config import architecture

    if (folders.tokenizer / "tokenizer.json").is_file():
        return
    source = folders.sets.pretrain if config.pretrain_share else folders.sets.train
    captions = []
    for path in find_shards([str(source)]):
        index = ShardIndex.open(path)
        for i in range(len(index)):
            captions += captions_of(index.read(i), one_per_line=False)[:1]
    length = architecture(config.architecture)["text_cfg"].get("context_length", 77)
    train_tokenizer(
        captions,
        vocab_size=config.vocab_size,
        out_dir=folders.tokenizer,
        context_length=length,
    )
