"""From paths and task names to benchmarks; the command line and training both start here."""

from collections.abc import Sequence
from itertools import chain

from eval.contract import Benchmark
from eval.dataset import EvalDataset
from eval.errors import EvaluationError
from eval.folders import evaluation_folders, has_splits, open_dataset
from eval.zero_shot import registry
from eval.zero_shot.request import TaskRequest

AUTO = "auto"


def task_names() -> list[str]:
    """What ``tasks`` may hold: "auto" and every registered task."""
    return [AUTO, *registry.names()]


def benchmarks_for(
    paths: Sequence[str],
    *,
    tasks: Sequence[str] = (AUTO,),
    split: str = "test",
    class_names: str | None = None,
    request: TaskRequest | None = None,
) -> list[Benchmark]:
    """Open every data set and build its benchmarks, data set by data set.

    Args:
        paths: see ``eval.folders.open_dataset``, or folders of such folders; at least one.
            "zero_shot=PATH" forces a task for one path.
        tasks: registered names, or "auto" for what each folder declares.
        split: one split, or several separated by commas; each path is opened for all of them.
        class_names: see ``eval.folders.open_dataset``.
        request: choices about the tasks.
    Raises:
        UnknownNameError: no such task.
        ShardError: a shard is missing or no tar.
        EvaluationError: nothing to evaluate, or data, task and choices that do not fit.
    """
    request = request or TaskRequest()
    for name in tasks:
        if name != AUTO:
            registry.get(name)
    splits = [name.strip() for name in split.split(",") if name.strip()]
    if not paths or not splits or not tasks:
        raise EvaluationError("nothing to evaluate; give a data path, a split and a task")
    benchmarks: list[Benchmark] = []
    for path, own_tasks in chain.from_iterable(_folders(path, tasks) for path in paths):
        for one_split in splits if has_splits(path) else splits[:1]:
            dataset = open_dataset(
                path, split=one_split, class_names=class_names, task=own_tasks[0]
            )
            for task in own_tasks:
                kind = registry.get(dataset.task if task == AUTO else task)
                benchmarks.append(kind.build(dataset, request))
    _refuse_unused(benchmarks, class_names=class_names, request=request)
    return benchmarks


def _folders(path: str, tasks: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    """The data sets behind one path, each with its tasks; "TASK=PATH" forces one."""
    task, _, rest = path.partition("=")
    if rest and task in task_names():
        path, tasks = rest, (task,)
    return [(folder, tasks) for folder in evaluation_folders(path)]


def opened_datasets(benchmarks: Sequence[Benchmark]) -> list[EvalDataset]:
    """The data sets of some benchmarks, each once, in order."""
    return list({id(b.dataset): b.dataset for b in benchmarks}.values())


def _refuse_unused(
    benchmarks: Sequence[Benchmark], *, class_names: str | None, request: TaskRequest
) -> None:
    names = {benchmark.name for benchmark in benchmarks}
    asked = {
        "class names": (class_names is not None, "zero_shot"),
        "templates": (request.templates is not None, "zero_shot"),
        "a number of captions": (request.captions_per_image is not None, "retrieval"),
    }
    for what, (given, user) in asked.items():
        if given and user not in names:
            raise EvaluationError(
                f"{what} given, but only {', '.join(sorted(names))} is evaluated, which uses "
                f"none; leave the option out or add --task {user}"
            )
