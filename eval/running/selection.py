"""From paths and task names to benchmarks; the command line and training both start here."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines.errors import UnknownNameError
from data_pipelines.texts import listed
from eval.contract import Benchmark
from eval.data.dataset import EvalDataset
from eval.data.folders import evaluation_folders, has_splits, open_dataset
from eval.data.rows import Annotation
from eval.errors import EvaluationError
from eval.running.opened import OpenedData
from eval.running.unused import refuse_unused
from eval.task_choices import TaskChoices
from eval.task_registry import ALL, AUTO
from eval.tasks import OfFiles, TaskKind, facts_of, registry

_PURPOSES = {"zero_shot": "classification", "multilabel": "classification"}


def task_names() -> list[str]:
    """What ``tasks`` may hold: "auto", "all" and every registered task."""
    return [AUTO, ALL, *registry.names()]


class Selection(NamedTuple):
    """What is to be measured, and what cannot be.

    Attributes:
        benchmarks: data set by data set.
        not_possible: for tasks that "all" covers, what each lacks on a data set, one line each.
    """

    benchmarks: list[Benchmark]
    not_possible: list[str]

    def warnings(self) -> list[str]:
        """What the user should know about the data before trusting a score, one line each."""
        lines: dict[str, None] = {}
        for dataset in opened_datasets(self.benchmarks):
            own = [facts_of(b) for b in self.benchmarks if b.dataset is dataset]
            with_classes = any("classes" in facts.uses for facts in own)
            lines.update(dict.fromkeys(dataset.warnings(with_classes=with_classes)))
        return list(lines)


def benchmarks_for(
    paths: Sequence[str],
    *,
    tasks: Sequence[str] = (AUTO,),
    split: str = "test",
    class_names: str | None = None,
    choices: TaskChoices | None = None,
    subsets: Sequence[str] = (),
) -> list[Benchmark]:
    """As ``select``, without what is not possible."""
    return select(
        paths,
        tasks=tasks,
        split=split,
        class_names=class_names,
        choices=choices,
        subsets=subsets,
    ).benchmarks


def select(
    paths: Sequence[str],
    *,
    tasks: Sequence[str] = (AUTO,),
    split: str = "test",
    class_names: str | None = None,
    choices: TaskChoices | None = None,
    subsets: Sequence[str] = (),
) -> Selection:
    """Open every data set once and build its benchmarks, data set by data set.

    Each task takes the samples that it needs, whatever is measured beside it.

    Args:
        paths: see ``eval.data.folders.open_dataset``, or folders of such folders; at least one.
            "zero_shot=PATH" forces a task for one path.
        tasks: registered names, "auto" for what each folder declares, or "all" for every task
            that the data allows.
        split: one split, or several separated by commas; each path is opened for all of them.
        class_names: see ``eval.data.folders.open_dataset``.
        choices: about the tasks.
        subsets: files that choose samples: one for all paths, or one for each ("all" for a path
            whose samples all count).
    Raises:
        UnknownNameError: no such task.
        ShardError: a shard is missing or no tar.
        EvaluationError: nothing to evaluate, or data, task and choices that do not fit.
    """
    choices = choices or TaskChoices()
    paths, tasks = listed(paths), listed(tasks)
    for name in tasks:
        if name not in (AUTO, ALL):
            registry.get(name)
    splits = [name.strip() for name in split.split(",") if name.strip()]
    if not paths or not splits or not tasks:
        raise EvaluationError("nothing to evaluate; give a data path, a split and a task")
    selection = Selection([], [])
    chosen = _subsets(subsets, num_paths=len(paths))
    folders = ((*folder, one) for path, one in zip(paths, chosen, strict=True)
               for folder in _folders(path, tasks))  # fmt: skip
    for path, own_tasks, subset in folders:
        annotations = _annotations(own_tasks)
        for one_split in splits if has_splits(path) else splits[:1]:
            opened = OpenedData(
                path,
                split=one_split,
                class_names=class_names,
                annotations=annotations,
                subset=subset,
            )
            _add(selection, opened, own_tasks, choices)
    refuse_unused(
        selection.benchmarks, selection.not_possible, class_names=class_names, choices=choices
    )
    return selection


def _subsets(files: Sequence[str], *, num_paths: int) -> list[Path | None]:
    """The subset of each path."""
    if not files:
        return [None] * num_paths
    if len(files) not in (1, num_paths):
        raise EvaluationError(
            f"--subset names {len(files)} files for {num_paths} data sets; give one for all, or "
            "one for each ('all' for one whose samples all count)"
        )
    found = [None if file == ALL else Path(file) for file in files]
    return found * num_paths if len(found) == 1 else found


def _annotations(tasks: Sequence[str]) -> dict[str, Annotation]:
    """What the tasks that may be measured read from each sample, by task."""
    found = {}
    for name, kind, _ in _candidates(tasks):
        if kind is not None and kind.facts.annotation is not None:
            found[name] = kind.facts.annotation
    return found


def _candidates(tasks: Sequence[str]) -> Iterator[tuple[str, TaskKind | None, str]]:
    """Tasks by name, all of them for "all"; None and the reason for one that is broken."""
    named = [name for name in tasks if name not in (AUTO, ALL)]
    for name in registry.names() if ALL in tasks else named:
        try:
            yield name, registry.get(name), ""
        except UnknownNameError as error:
            yield name, None, str(error)


def _add(
    selection: Selection, opened: OpenedData, tasks: Sequence[str], choices: TaskChoices
) -> None:
    """The tasks of one data set; asked for by name they must be possible."""
    if AUTO in tasks or ALL in tasks:
        opened.usable()
    names = [_meant(opened, choices) if task == AUTO else task for task in tasks if task != ALL]
    for name in dict.fromkeys(names):
        kind = registry.get(name)
        dataset = opened.for_task(name, kind.facts, is_named=name in tasks)
        if (lack := opened.lack(dataset, name, kind, choices)) is not None:
            raise EvaluationError(lack)
        selection.benchmarks.extend(_built(kind, dataset, choices))
    if ALL not in tasks:
        return
    for name, kind, problem in _candidates((ALL,)):
        if kind is None:
            selection.not_possible.append(f"{name}: {problem}")
            continue
        dataset = opened.for_task(name, kind.facts, is_named=False)
        lack = _not_meant(name, kind, opened.purpose, dataset)
        lack = lack or opened.lack(dataset, name, kind, choices)
        if lack is not None:
            selection.not_possible.append(f"{name}: {lack}")
        elif name not in names:
            selection.benchmarks.extend(_built(kind, dataset, choices))


def _built(kind: TaskKind, dataset: EvalDataset, choices: TaskChoices) -> Sequence[Benchmark]:
    """A task is one benchmark, or one for each of several files."""
    if isinstance(kind, OfFiles):
        return kind.build_each(dataset, choices)
    return (kind.build(dataset, choices),)


def _meant(opened: OpenedData, choices: TaskChoices) -> str:
    """The task that a data set is for, or the one that this task gives way to."""
    name = opened.purpose
    if rather := registry.get(name).facts.rather:
        kind = registry.get(rather)
        dataset = opened.for_task(rather, kind.facts, is_named=False)
        if opened.lack(dataset, rather, kind, choices) is None:
            return rather
    return name


def _not_meant(name: str, kind: TaskKind, purpose: str, dataset: EvalDataset) -> str | None:
    """Captions made of class names, say, repeat each other: "all" leaves tasks about them out."""
    if not kind.facts.only_for or purpose in kind.facts.only_for:
        return None
    purpose = _PURPOSES.get(purpose, purpose)
    return f"{dataset.title} is for {purpose}; to measure it all the same: --task {name}"


def _folders(path: str, tasks: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    """The data sets behind one path, each with its tasks; "TASK=PATH" forces one."""
    task, _, rest = path.partition("=")
    if rest and task in task_names():
        path, tasks = rest, (task,)
    return [(folder, tasks) for folder in evaluation_folders(path)]


def opened_datasets(benchmarks: Sequence[Benchmark]) -> list[EvalDataset]:
    """The data sets of some benchmarks, each once, in order."""
    return list({id(b.dataset): b.dataset for b in benchmarks}.values())


def open_companion(path: str, *, split: str = "test", task: str = "images") -> EvalDataset:
    """A data set that is only used beside another one: its pictures need no labels.

    Raises:
        UserError: see ``eval.data.folders.open_dataset``.
    """
    return open_dataset(path, split=split, task=task)
