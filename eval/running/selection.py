"""From paths and task names to benchmarks; the command line and training both start here."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from eval.contract import Benchmark
from eval.data.dataset import EvalDataset
from eval.data.folders import evaluation_folders, has_splits, open_dataset
from eval.errors import EvaluationError
from eval.task_choices import TaskRequest
from eval.tasks import OfFiles, registry

AUTO = "auto"
ALL = "all"

# Tasks that decide which samples of a data set are usable; the others take what the folder says.
_OPENED_FOR = {name: name for name in ("zero_shot", "retrieval", "multilabel", "vqa")} | {
    name: "retrieval"
    for name in ("retrieval_rerank", "captioning", "identity_retrieval", "attribute_insertions")
}
_OPENED_FOR["insertion_entailment"] = "images"
_OPENED_FOR["omnibench"] = "omnibench"
# Tasks about captions and questions: they use no class names.
_WITHOUT_CLASSES = {
    "retrieval", "retrieval_rerank", "captioning", "identity_retrieval", "vqa",
    "attribute_insertions", "insertion_entailment", "omnibench",
}  # fmt: skip
_USE_SOME_CAPTIONS = {"retrieval", "retrieval_rerank", "identity_retrieval"}
_OF_PERSONS = "identity_retrieval"
_USE_A_BASE = {"shift", "corruption_files", "calibration"}

# Fields of TaskRequest with the settings of some tasks.
_SETTINGS_OF = {
    "corruptions": ("corruptions", "corruptions_3d"),
    "perturbations": ("perturbations",),
    "translation": ("translation",),
    "attack": ("adversarial",),
    "ood": ("ood",),
    "captioning": ("captioning",),
    "vqa": ("vqa",),
    "retrieval_rerank": ("retrieval_rerank",),
    "attribute_insertions": ("attribute_insertions",),
    "insertion_entailment": ("insertion_entailment",),
    "omnibench": ("omnibench",),
}


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


def benchmarks_for(
    paths: Sequence[str],
    *,
    tasks: Sequence[str] = (AUTO,),
    split: str = "test",
    class_names: str | None = None,
    request: TaskRequest | None = None,
) -> list[Benchmark]:
    """As ``select``, without what is not possible."""
    return select(
        paths, tasks=tasks, split=split, class_names=class_names, request=request
    ).benchmarks


def select(
    paths: Sequence[str],
    *,
    tasks: Sequence[str] = (AUTO,),
    split: str = "test",
    class_names: str | None = None,
    request: TaskRequest | None = None,
) -> Selection:
    """Open every data set and build its benchmarks, data set by data set.

    Args:
        paths: see ``eval.data.folders.open_dataset``, or folders of such folders; at least one.
            "zero_shot=PATH" forces a task for one path.
        tasks: registered names, "auto" for what each folder declares, or "all" for every task
            that the data allows.
        split: one split, or several separated by commas; each path is opened for all of them.
        class_names: see ``eval.data.folders.open_dataset``.
        request: choices about the tasks.
    Raises:
        UnknownNameError: no such task.
        ShardError: a shard is missing or no tar.
        EvaluationError: nothing to evaluate, or data, task and choices that do not fit.
    """
    request = request or TaskRequest()
    for name in tasks:
        if name not in (AUTO, ALL):
            registry.get(name)
    splits = [name.strip() for name in split.split(",") if name.strip()]
    if not paths or not splits or not tasks:
        raise EvaluationError("nothing to evaluate; give a data path, a split and a task")
    selection = Selection([], [])
    for path, own_tasks in chain.from_iterable(_folders(path, tasks) for path in paths):
        for one_split in splits if has_splits(path) else splits[:1]:
            opened_for = _OPENED_FOR.get(own_tasks[0], AUTO)
            dataset = open_dataset(path, split=one_split, class_names=class_names, task=opened_for)
            _add(selection, dataset, own_tasks, request)
    _refuse_unused(selection, class_names=class_names, request=request)
    return selection


def _add(
    selection: Selection, dataset: EvalDataset, tasks: Sequence[str], request: TaskRequest
) -> None:
    """The tasks of one data set; asked for by name they must be possible."""
    names = [_meant(dataset, request) if task == AUTO else task for task in tasks if task != ALL]
    for name in dict.fromkeys(names):
        if (lack := registry.get(name).missing(dataset, request)) is not None:
            raise EvaluationError(lack)
        selection.benchmarks.extend(_built(name, dataset, request))
    if ALL in tasks:
        for name in registry.names():
            lack = _not_meant(name, dataset) or registry.get(name).missing(dataset, request)
            if lack is not None:
                selection.not_possible.append(f"{name}: {lack}")
            elif name not in names:
                selection.benchmarks.extend(_built(name, dataset, request))


def _built(name: str, dataset: EvalDataset, request: TaskRequest) -> Sequence[Benchmark]:
    """A task is one benchmark, or one for each of several files."""
    kind = registry.get(name)
    return (
        kind.build_each(dataset, request)
        if isinstance(kind, OfFiles)
        else (kind.build(dataset, request),)
    )


def _meant(dataset: EvalDataset, request: TaskRequest) -> str:
    """What a data set is for: what it declares, or person search where it has identities."""
    of_persons = registry.get(_OF_PERSONS).missing(dataset, request) is None
    return _OF_PERSONS if dataset.task == "retrieval" and of_persons else dataset.task


def _not_meant(name: str, dataset: EvalDataset) -> str | None:
    """Captions made of class names repeat each other: "all" leaves tasks about them out."""
    about_captions = name in _WITHOUT_CLASSES and name != "vqa"
    if about_captions and dataset.task not in ("retrieval", "vqa", "omnibench"):
        return f"{dataset.title} is for classification; to measure it all the same: --task {name}"
    return None


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


def _refuse_unused(selection: Selection, *, class_names: str | None, request: TaskRequest) -> None:
    """Nothing that was asked for is passed over; where "all" had to leave its task out, say why."""
    names = {benchmark.name.partition(":")[0] for benchmark in selection.benchmarks}
    no_classes = names <= _WITHOUT_CLASSES
    asked = {
        "class names": (class_names is not None, no_classes, "zero_shot"),
        "templates": (request.templates is not None, no_classes, "zero_shot"),
        "a number of captions": (
            request.captions_per_image is not None, not names & _USE_SOME_CAPTIONS, "retrieval",
        ),
        "out-of-distribution sets": (bool(request.companions.ood), "ood" not in names, "ood"),
        "base sets": (bool(request.companions.bases), not names & _USE_A_BASE, "shift"),
        "a bank": (request.companions.bank is not None, "ood" not in names, "ood"),
        "background pictures": (
            request.companions.backgrounds is not None, "edits" not in names, "edits",
        ),
        "annotations of factors": (bool(request.factors_file), "factors" not in names, "factors"),
    }  # fmt: skip
    usual = TaskRequest()
    for group, users in _SETTINGS_OF.items():
        is_given = getattr(request, group) != getattr(usual, group)
        asked[f"settings {group}.*"] = (is_given, names.isdisjoint(users), users[0])
    for what, (is_given, is_unused, user) in asked.items():
        if is_given and is_unused:
            lacks = [line for line in selection.not_possible if line.startswith(f"{user}: ")]
            if lacks:
                raise EvaluationError(lacks[0])
            raise EvaluationError(
                f"{what} given, but only {', '.join(sorted(names))} is evaluated, which uses "
                f"none; leave the option out or add --task {user}"
            )
