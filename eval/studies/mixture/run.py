"""Runs what is missing of a study, several runs at a time, and keeps what is finished."""

from collections.abc import Sequence
from pathlib import Path

from eval.studies.mixture.cell import Curve, is_done, train_cell
from eval.studies.mixture.records import refuse_other_study
from eval.studies.mixture.sets import StudyFolders, make_sets, make_study_tokenizer
from eval.studies.mixture.settings import Cell, MixtureStudyConfig
from eval.studies.processes import Task, run_tasks, task_pool

_PRELOADED = ("deepspeed", "open_clip", "eval.studies.mixture.cell")


def run_study(
    config: MixtureStudyConfig, cells: Sequence[Cell], out: Path, *, jobs: int = 1
) -> StudyFolders:
    """Make the sets and the tokenizer, then run every missing cell.

    A study that was stopped, by whatever means, goes on with the runs that are missing; a run is a
    minute or two of work and starts anew.

    Args:
        jobs: runs at a time, each with ``config.threads`` threads.
    Raises:
        EvaluationError: ``out`` holds a study of other settings, a test cannot be used, or runs
            failed; the others are finished first.
        DataError: shards cannot be read.
    """
    refuse_other_study(out, config.digest)
    folders = StudyFolders(out)
    missing = [cell for cell in cells if not is_done(folders, cell, config)]
    if not missing:
        return folders
    make_sets(config, folders)
    make_study_tokenizer(config, folders)
    Curve.over(config, folders)  # says what is wrong with a test before anything is trained
    (out / "logs").mkdir(parents=True, exist_ok=True)
    with task_pool(jobs, threads=config.threads, preload=_PRELOADED) as pool:
        tasks = [Task(cell.name, train_cell, (config, folders, cell)) for cell in missing]
        run_tasks(pool, tasks, out / "logs", what="run")
    return folders
