"""Every evaluation task by name, whichever folder of eval it is in."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from data_pipelines.registry import Registry
from eval.contract import Benchmark
from eval.data.dataset import EvalDataset
from eval.task_choices import TaskRequest


class TaskKind(Protocol):
    """The class of a benchmark, as registered."""

    @staticmethod
    def missing(dataset: EvalDataset, request: TaskRequest) -> str | None:
        """What the task lacks on this data, in one line that says how to give it; None: nothing."""
        ...

    @classmethod
    def build(cls, dataset: EvalDataset, request: TaskRequest) -> Benchmark:
        """The task on this data with what the user chose.

        Raises:
            EvaluationError: what ``missing`` says.
        """
        ...


@runtime_checkable
class OfFiles(Protocol):
    """A ``TaskKind`` that makes one benchmark of each of several files; names are TASK:FILE."""

    @classmethod
    def build_each(cls, dataset: EvalDataset, request: TaskRequest) -> Sequence[Benchmark]:
        """As ``TaskKind.build``, for every file that the user gave."""
        ...


registry: Registry[TaskKind] = Registry(
    "evaluation task",
    package=(
        "eval.zero_shot",
        "eval.matching",
        "eval.generation",
        "eval.robustness",
        "eval.safety",
        "eval.omnibench",
        "eval.xmai",
    ),
)
