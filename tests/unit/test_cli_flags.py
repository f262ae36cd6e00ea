"""Policy: the flags of every command and their defaults are those of ``cli_flags.txt``.

A flag is a promise to scripts. Adding one means adding its line there, on purpose; taking one
away or changing a default means saying so in the changelog. The file is written anew by
``python -m tests.unit.test_cli_flags``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlsuite.cli import main

TABLE = Path(__file__).with_name("cli_flags.txt")


def test_flags_and_defaults_are_the_agreed_ones():
    agreed = set(TABLE.read_text(encoding="utf-8").splitlines())
    found = set(_all_lines())
    assert sorted(agreed - found) == [], "gone, or with another default"
    assert sorted(found - agreed) == [], "new: add these lines to tests/unit/cli_flags.txt"


def _all_lines() -> Iterator[str]:
    for command in main.COMMANDS:
        parser = main.build_parser(command)
        yield from _lines(_subparsers(parser)[command], command)


def _lines(parser: argparse.ArgumentParser, where: str) -> Iterator[str]:
    for name, inner in _subparsers(parser).items():
        yield from _lines(inner, f"{where} {name}")
    for action in parser._actions:
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            told = _told(action)
            yield f"{where}: {', '.join(action.option_strings) or action.dest} {told}"


def _told(action: argparse.Action) -> str:
    if action.dest.startswith("-"):
        return "formerly"
    # a word that a former flag may stand for is required by who reads the options
    is_needed = action.required or action.default is argparse.SUPPRESS
    if is_needed and action.nargs not in ("*", "?"):
        return "required"
    return f"= {_shown(action.default)}".strip()


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def _shown(default: Any) -> str:
    if default in (None, "", [], ()):
        return ""
    return ",".join(map(str, default)) if isinstance(default, list | tuple) else str(default)


if __name__ == "__main__":
    TABLE.write_text("".join(f"{line}\n" for line in sorted(set(_all_lines()))), encoding="utf-8")
