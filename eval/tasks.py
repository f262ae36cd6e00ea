"""Every evaluation task by name, whichever folder of eval it is in."""

from typing import Protocol

from eval.contract import Benchmark
from eval.dataset import EvalDataset
from eval.request import TaskRequest
from vlsuite.registry import Registry


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
