"""Parsers of multiple-choice answers by name."""

from collections.abc import Callable, Sequence

from data_pipelines.registry import Registry

#: From a response and the options without letters to the number of an option; None: no answer.
Parser = Callable[[str, Sequence[str]], int | None]

parsers: Registry[Parser] = Registry("parser", package="eval.omnibench.parsers", variable="parsers")

#: Ours first; the others are frozen copies of what public harnesses do, faults included.
_FIRST = ("vlsuite", "upstream", "upstream_before_pr2", "lmms", "evalscope")


def parser_names() -> list[str]:
    """All names in the order of tables: ours, those of other harnesses, then strangers'."""
    return [*_FIRST, *(name for name in parsers.names() if name not in _FIRST)]
