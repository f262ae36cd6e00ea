"""Names of evaluation tasks, without what these import; ``eval.tasks`` says what a task is."""

from typing import Any

from data_pipelines.registry import Registry

#: Where the tasks of this suite are.
TASK_PACKAGES = (
    "eval.zero_shot",
    "eval.matching",
    "eval.generation",
    "eval.probes",
    "eval.robustness",
    "eval.safety",
    "eval.omnibench",
    "eval.xmai",
    "eval.video",
    "eval.detection",
)

#: Of ``eval.tasks.TaskKind``.
registry: Registry[Any] = Registry("evaluation task", package=TASK_PACKAGES)

#: Words that stand for several tasks.
AUTO, ALL = "auto", "all"


def refuse_unknown_task(name: str) -> None:
    """Say that there is no such task; none is imported.

    Raises:
        UnknownNameError: no such name; the message lists the closest ones.
    """
    if name not in (AUTO, ALL):
        registry.refuse_unknown(name)
