"""Every evaluation task by name, whichever folder of eval it is in, with its facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from data_pipelines.errors import UnknownNameError
from data_pipelines.registry import Registry
from eval import task_registry
from eval.capabilities import EMBEDS, Capability
from eval.contract import Benchmark
from eval.data.dataset import EvalDataset
from eval.data.rows import LABELLED, Annotation, NeededRows
from eval.task_choices import TaskChoices

#: General choices that not every task uses; "classes" are class names and templates.
Choice = Literal[
    "classes", "captions_per_image", "ood", "bases", "bank", "backgrounds", "factors_file"
]
#: Data sets that are not for classification.
NOT_OF_CLASSES = ("retrieval", "vqa", "omnibench")


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFacts:
    """What the suite has to know of a task before it is built.

    Args:
        rows: which samples it takes.
        demands: all that a model must be able to do.
        uses: the general choices that it uses.
        options: its own options, a dataclass registered with ``task_options``; None for none.
        heeds: options of other tasks that concern it too.
        annotation: what it reads from the samples beside what ``EvalDataset`` has.
        only_for: "all" takes it on data sets for these purposes alone; empty: on every one.
        rather: another task that "auto" takes instead wherever the data allow that one.
        set_kind: the kind of data set (``eval.data.set_kinds``) that it needs; empty for samples.
        title: what reports call it; empty takes its name.
        score_titles: what tables call its scores; a pattern that the whole name matches gives a
            text, with ``\\\\1`` for its first group.
    """

    rows: NeededRows = LABELLED
    demands: tuple[Capability, ...] = (EMBEDS,)
    uses: tuple[Choice, ...] = ()
    options: type | None = None
    heeds: tuple[type, ...] = ()
    annotation: Annotation | None = None
    only_for: tuple[str, ...] = ()
    rather: str = ""
    set_kind: str = ""
    title: str = ""
    score_titles: Mapping[str, str] = field(default_factory=dict)
    score_words: Mapping[str, str] = field(default_factory=dict)
    headlines: tuple[str, ...] = ()


@runtime_checkable
class TaskKind(Protocol):
    """The class of a benchmark, as registered."""

    @property
    def facts(self) -> TaskFacts:
        """An attribute of the class."""
        ...

    @staticmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """What the task lacks on this data, in one line that says how to give it; None: nothing."""
        ...

    @classmethod
    def build(cls, dataset: EvalDataset, choices: TaskChoices) -> Benchmark:
        """The task on this data with what the user chose.

        Raises:
            EvaluationError: what ``missing`` says.
        """
        ...


@runtime_checkable
class OfFiles(Protocol):
    """A ``TaskKind`` that makes one benchmark of each of several files; names are TASK:FILE."""

    @classmethod
    def build_each(cls, dataset: EvalDataset, choices: TaskChoices) -> Sequence[Benchmark]:
        """As ``TaskKind.build``, for every file that the user gave."""
        ...


@runtime_checkable
class StatesFacts(Protocol):
    """A benchmark that a task built."""

    @property
    def facts(self) -> TaskFacts:
        """Of its task."""
        ...


registry: Registry[TaskKind] = task_registry.registry


def facts_of(benchmark: Benchmark) -> TaskFacts:
    """The facts of the task that built a benchmark; of one built otherwise, that it has none."""
    return benchmark.facts if isinstance(benchmark, StatesFacts) else TaskFacts(demands=())


def facts_named(benchmark: str) -> TaskFacts:
    """The facts of the task behind the name of a benchmark, which may be TASK:FILE.

    Of a task that is not available, as of a stranger's plug-in in an old result, nothing is known.
    """
    name = benchmark.partition(":")[0]
    if name not in registry.names():
        return TaskFacts()
    try:
        return registry.get(name).facts
    except UnknownNameError:
        return TaskFacts()
