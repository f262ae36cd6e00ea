"""Parsers of multiple-choice answers by name."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from eval.errors import EvaluationError
from eval.omnibench.parsers.evalscope import parse_evalscope
from eval.omnibench.parsers.lmms import parse_lmms
from eval.omnibench.parsers.own import parse_own
from eval.omnibench.parsers.upstream import parse_upstream, parse_upstream_before_pr2

#: From a response and the options without letters to the number of an option; None: no answer.
Parser = Callable[[str, Sequence[str]], int | None]

#: Ours first; the others are frozen copies of what public harnesses do, faults included.
PARSERS: Mapping[str, Parser] = MappingProxyType(
    {
        "vlsuite": parse_own,
        "upstream": parse_upstream,
        "upstream_before_pr2": parse_upstream_before_pr2,
        "lmms": parse_lmms,
        "evalscope": parse_evalscope,
    }
)


def parser(name: str) -> Parser:
    """The parser of that name.

    Raises:
        EvaluationError: no such parser; the message lists them.
    """
    if name not in PARSERS:
        close = difflib.get_close_matches(name, PARSERS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise EvaluationError(f"unknown parser '{name}'; known: {', '.join(PARSERS)}{hint}")
    return PARSERS[name]
