"""Nothing that a user chose is passed over in silence."""

from collections.abc import Sequence
from typing import NamedTuple

from eval.contract import Benchmark
from eval.errors import EvaluationError
from eval.task_choices import TaskChoices, task_options
from eval.tasks import Choice, facts_of, registry


class _Given(NamedTuple):
    """Something that was chosen, and whether a task that is measured uses it.

    Attributes:
        user: a task that uses it, to be named where none is measured.
    """

    what: str
    is_used: bool
    user: str


def refuse_unused(
    benchmarks: Sequence[Benchmark],
    not_possible: Sequence[str],
    *,
    class_names: str | None,
    choices: TaskChoices,
) -> None:
    """Raise where a choice concerns none of the benchmarks.

    Args:
        not_possible: why "all" had to leave tasks out; said where it explains an unused choice.
    Raises:
        EvaluationError: which choice, and what would use it.
    """
    for given in _given(benchmarks, class_names=class_names, choices=choices):
        if given.is_used:
            continue
        lacks = [line for line in not_possible if line.startswith(f"{given.user}: ")]
        if lacks:
            raise EvaluationError(lacks[0])
        names = sorted({benchmark.name.partition(":")[0] for benchmark in benchmarks})
        raise EvaluationError(
            f"{given.what} given, but only {', '.join(names)} is evaluated, which uses none; "
            f"leave the option out or add --task {given.user}"
        )


def _given(
    benchmarks: Sequence[Benchmark], *, class_names: str | None, choices: TaskChoices
) -> list[_Given]:
    facts = [facts_of(benchmark) for benchmark in benchmarks]
    companions = choices.companions
    general: list[tuple[str, bool, Choice, str]] = [
        ("class names", class_names is not None, "classes", "zero_shot"),
        ("templates", choices.templates is not None, "classes", "zero_shot"),
        (
            "a number of captions",
            choices.captions_per_image is not None,
            "captions_per_image",
            "retrieval",
        ),
        ("out-of-distribution sets", bool(companions.ood), "ood", "ood"),
        ("base sets", bool(companions.bases), "bases", "shift"),
        ("a bank", companions.bank is not None, "bank", "ood"),
        ("background pictures", companions.backgrounds is not None, "backgrounds", "edits"),
        ("annotations of factors", bool(choices.factors_file), "factors_file", "factors"),
    ]
    found = [
        _Given(what, any(choice in own.uses for own in facts), user)
        for what, is_given, choice, user in general
        if is_given
    ]
    unused = [
        type(options)
        for options in choices.options
        if options != type(options)()
        and all(type(options) not in (own.options, *own.heeds) for own in facts)
    ]
    for kind in unused:
        found.append(_Given(f"settings {task_options.name_of(kind)}.*", False, _user_of(kind)))
    return found


def _user_of(options: type) -> str:
    """The first task with these options."""
    for name, kind, _ in registry.listed():
        if kind is not None and kind.facts.options is options:
            return name
    return "NAME"
