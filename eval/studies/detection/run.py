"""Runs what is missing of a detection study, stage by stage, and keeps what is finished."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import read_object
from eval.errors import EvaluationError
from eval.studies.detection import base
from eval.studies.detection.detecting import is_done, run_cell
from eval.studies.detection.facts import check_teacher, measure_recalls, measure_teacher
from eval.studies.detection.folders import StudyFolders
from eval.studies.detection.settings import Cell, DetectionStudyConfig
from eval.studies.detection.views import is_kept, keep_view
from eval.studies.processes import Task, run_tasks, task_pool
from vlsuite.engine.run_folder import write_json
from vlsuite.models.folders import is_finished
from vlsuite.models.vild.region_cache import ABOUT

_PRELOADED = ("deepspeed", "open_clip", "torchvision", "eval.studies.detection.detecting")


#: Name, whether it is done, what does it, and what that is told beside settings and folders.
_Step = tuple[str, bool, Callable[..., None], tuple]


def run_study(
    config: DetectionStudyConfig, cells: Sequence[Cell], out: Path, *, jobs: int = 2
) -> StudyFolders:
    """Scenes, teacher and localizer, regions, views, then every missing head.

    A study that was stopped, by whatever means, goes on where it was: trainings from their newest
    checkpoint, regions after the last whole shard, heads (a minute of work) anew.

    Args:
        jobs: processes at a time, each with one thread.
    Raises:
        EvaluationError: ``out`` holds a study of other settings, the teacher does not know the
            novel things, or runs failed; the others are finished first.
    """
    folders = StudyFolders(out)
    refuse_other_study(folders, config)
    if all(is_done(folders, cell, config) for cell in cells) and folders.recalls.is_file():
        return folders
    (out / "logs").mkdir(parents=True, exist_ok=True)
    write_json(folders.settings, {"base_digest": config.base_digest, "settings": asdict(config)})
    with task_pool(jobs, threads=1, preload=_PRELOADED) as pool:

        def stage(name: str, tasks: Sequence[_Step]) -> None:
            """Run those of some tasks that are not done, and add up the time they took."""
            missing = [
                Task(n, f, (config, folders, *more)) for n, done, f, more in tasks if not done
            ]
            if not missing:
                return
            started, computed = time.perf_counter(), 0.0
            try:
                computed = run_tasks(pool, missing, out / "logs", what=name)
            finally:
                _add_time(folders, name, time.perf_counter() - started, computed)

        stage("scenes", [("scenes", base.has_scenes(folders), base.make_scenes, ())])
        stage(
            "base",
            [
                ("localizer", is_finished(folders.localizer), base.train_localizer, ()),
                ("teacher", is_finished(folders.teacher), base.train_teacher, ()),
            ],
        )
        stage("teacher's facts", [_facts("teacher-facts", folders.teacher_facts, measure_teacher)])
        check_teacher(read_object(folders.teacher_facts), config)
        fp32 = any(cell.vectors == "fp32" for cell in cells)
        stage(
            "regions",
            [
                ("regions", _is_embedded(folders.regions()), base.embed_regions, ()),
                _facts("recalls", folders.recalls, measure_recalls),
                *[("regions-fp32", _is_embedded(folders.regions("fp32")), base.embed_regions,
                   ("fp32",))][: int(fp32)],
            ],
        )  # fmt: skip
        numbers = range(config.views)
        stage("views", [(f"views-{n}", is_kept(folders, n), keep_view, (n,)) for n in numbers])
        stage("heads", [(c.name, is_done(folders, c, config), run_cell, (c,)) for c in cells])
    return folders


def refuse_other_study(folders: StudyFolders, config: DetectionStudyConfig) -> None:
    """A study of other settings would otherwise be mixed with this one.

    Raises:
        EvaluationError: the folder holds one, or heads of one.
    """
    if not folders.settings.is_file():
        return
    stored = read_object(folders.settings)
    if stored["base_digest"] != config.base_digest:
        own, other = asdict(config), stored["settings"]
        differing = [k for k, v in own.items() if k not in other or other[k] != _plain(v)]
        raise EvaluationError(
            f"{folders.out} holds a study of other settings ({', '.join(differing[:4])}); give it "
            "those again, or choose another --out"
        )


def stage_times(folders: StudyFolders) -> dict[str, dict[str, Any]]:
    """Seconds that each stage took, over all calls: "wall" clock, and "cpu" of its processes."""
    return read_object(folders.times) if folders.times.is_file() else {}


def _add_time(folders: StudyFolders, name: str, wall: float, cpu: float) -> None:
    times = stage_times(folders)
    own = times.get(name, {"wall": 0.0, "cpu": 0.0})
    is_known = own["cpu"] is not None
    own = {"wall": own["wall"] + wall, "cpu": own["cpu"] + cpu if is_known else None}
    write_json(folders.times, times | {name: own})


def _facts(name: str, path: Path, function: Callable[..., None]) -> tuple[str, bool, Any, tuple]:
    return name, path.is_file(), function, ()


def _is_embedded(folder: Path) -> bool:
    path = folder / ABOUT
    return path.is_file() and bool(read_object(path).get("finished"))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
