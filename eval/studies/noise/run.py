"""Runs what is missing of a study, several runs at a time, and keeps what is finished."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of
from eval.studies.noise.cell import is_done, train_cell
from eval.studies.noise.grid import Cell, StudyConfig
from eval.studies.noise.methods import METHODS
from eval.studies.noise.sets import StudySets, make_noisy, make_noisy_validation, make_sets
from eval.studies.noise.training import StudyFolders, pretrain
from eval.studies.noise.tuning import next_trials, train_trial, tuning_cell, write_tuning
from eval.studies.processes import Task, run_tasks, task_pool
from eval.studies.training import make_tokenizer
from vlsuite.models.folders import is_finished

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
    with task_pool(jobs, threads=config.threads, preload=_PRELOADED) as pool:
        if config.pretrain_share:
            seeds = sorted({cell.seed for cell in wanted})
            seeds = [s for s in seeds if not is_finished(folders.pretrained(s))]
            starts = [Task(f"pretrained-seed{s}", pretrain, (config, folders, s)) for s in seeds]
            run_tasks(pool, starts, out / "logs", what="start")
        _make_noise(sets, wanted)
        if trials:
            for rate in sorted({trial.rate for trial in trials}):
                make_noisy_validation(sets, rate=rate, seed=config.tune_seed)
        while trials:
            tasks = [Task(trial.name, train_trial, (config, folders, trial)) for trial in trials]
            run_tasks(pool, tasks, out / "logs", what="learning rate")
            trials = next_trials(config, folders, methods)
        rates = _learning_rates(config, folders, missing)
        tasks = [Task(c.name, train_cell, (config, folders, c, rates[c.method])) for c in missing]
        run_tasks(pool, tasks, out / "logs", what="run")
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


def _make_tokenizer(config: StudyConfig, folders: StudyFolders) -> None:
    source = folders.sets.pretrain if config.pretrain_share else folders.sets.train
    make_tokenizer(
        list(_captions(source)),
        folders.tokenizer,
        name=config.architecture,
        vocab_size=config.vocab_size,
    )


def _captions(source: Path) -> Iterator[str]:
    """The first of each sample."""
    for path in find_shards([str(source)]):
        index = ShardIndex.open(path)
        for i in range(len(index)):
            yield from captions_of(index.read(i), one_per_line=False)[:1]
