"""What a user can choose about evaluation tasks; each task takes what concerns it.

General choices are fields of ``TaskChoices``. Those of one task are a dataclass beside it,
registered under the name of its group: ``vlsuite eval --set corruptions.severities=1,3,5`` sets a
field of the one called "corruptions".
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass, replace
from typing import Any, TypeVar

from data_pipelines.errors import ConfigError
from data_pipelines.registry import Registry
from data_pipelines.settings import apply_overrides
from eval.data.dataset import EvalDataset
from eval.errors import EvaluationError
from eval.task_registry import TASK_PACKAGES

Options = TypeVar("Options")

#: Dataclasses of the choices of single tasks, by group; every field has a default.
task_options: Registry[type] = Registry(
    "group of task settings", package=TASK_PACKAGES, variable="task_options"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Companions:
    """Other data sets that some tasks need beside the one they are measured on.

    Attributes:
        ood: sets whose pictures show none of the classes.
        bases: unshifted sets that shifted ones are compared with; by name.
        bank: in-distribution pictures for kNN detection; None takes half of the set itself.
        backgrounds: pictures for background edits; None draws plain ones.
    """

    ood: tuple[EvalDataset, ...] = ()
    bases: tuple[EvalDataset, ...] = ()
    bank: EvalDataset | None = None
    backgrounds: EvalDataset | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskChoices:
    """Choices for building tasks.

    Args:
        templates: prompts with ``{c}``; None takes the data set's own, else what its class names
            get.
        captions_per_image: use the first so many captions of an image; None uses all.
        num_examples: examples of each direction kept for the report.
        seed: of bootstrap intervals, random draws and the choice of examples.
        factors_file: annotations for the factors task, JSON lines; empty reads each json member.
        companions: other data sets.
        options: of single tasks, one of a type; tasks without any take their defaults.
    """

    templates: tuple[str, ...] | None = None
    captions_per_image: int | None = None
    num_examples: int = 0
    seed: int = 0
    factors_file: str = ""
    companions: Companions = field(default_factory=Companions)
    options: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.captions_per_image is not None and self.captions_per_image < 1:
            raise EvaluationError(
                f"captions_per_image is {self.captions_per_image}; give at least 1"
            )
        if self.num_examples < 0:
            raise EvaluationError(f"num_examples is {self.num_examples}; it must not be negative")
        kinds = [type(own) for own in self.options]
        for kind in kinds:
            if kinds.count(kind) > 1:
                raise EvaluationError(f"two {kind.__name__} given; keep one of them")

    def of(self, kind: type[Options]) -> Options:
        """The options of this type: those given, else the defaults."""
        return next((own for own in self.options if type(own) is kind), kind())

    def having(self, options: Any) -> "TaskChoices":
        """The same choices with these options in place of those of their type."""
        others = [own for own in self.options if type(own) is not type(options)]
        return replace(self, options=(*others, options))


def options_from(overrides: Sequence[str]) -> tuple[Any, ...]:
    """The options that some ``GROUP.KEY=VALUE`` set; imports the tasks of these groups alone.

    Raises:
        ConfigError: no such group or key, or a value of the wrong type.
    """
    groups: list[str] = []
    for override in overrides:
        group, dot, _ = override.partition("=")[0].partition(".")
        if not dot:
            raise ConfigError(f"--set {override}: write TASK.KEY=VALUE (--list-tasks shows all)")
        groups.append(group.strip())
        if groups[-1] not in (known := task_options.names()):
            close = difflib.get_close_matches(groups[-1], known, n=1, cutoff=0.5)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
            raise ConfigError(f"unknown setting '{override.partition('=')[0]}'; {hint}")
    kinds = {group: task_options.get(group) for group in dict.fromkeys(groups)}
    every = make_dataclass(
        "Groups",
        [(name, kind, field(default_factory=kind)) for name, kind in kinds.items()],
        frozen=True,
    )
    chosen = apply_overrides(every(), overrides)
    return tuple(getattr(chosen, group) for group in kinds)
