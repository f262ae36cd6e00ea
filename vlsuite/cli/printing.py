"""Options of every command that say how it speaks: ``--json`` for programs, and ``--quiet``."""

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from vlsuite.cli.answers import answered_in_json
from vlsuite.cli.quiet import warnings_only

_JSON, _QUIET = "prints_json", "is_quiet"


def add_printing(parser: argparse.ArgumentParser) -> None:
    """Add both options to each parser of an action below this one, or to itself if it has none.

    One that has an option of that name already keeps its own.
    """
    for leaf in leaves(parser):
        group = leaf.add_argument_group("printing")
        for flag, dest, told in (
            ("--json", _JSON, "print the result as one JSON object, for programs"),
            ("--quiet", _QUIET, "no progress and no remarks, only results, warnings and errors"),
        ):
            if flag not in leaf._option_string_actions:
                group.add_argument(flag, dest=dest, action="store_true", help=told)


@contextmanager
def printing(parsed: argparse.Namespace) -> Iterator[None]:
    """Speak as the options say while the block runs."""
    with ExitStack() as stack:
        if getattr(parsed, _JSON, False):
            stack.enter_context(answered_in_json())
        if getattr(parsed, _QUIET, False):
            stack.enter_context(warnings_only())
        yield


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Parsers that no word chooses another one below."""
    inner = below(parser)
    if not inner:
        yield parser
    for one in inner.values():
        yield from leaves(one)


def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Parsers that a word chooses, by that word."""
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}
