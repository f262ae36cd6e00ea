"""The parser of all commands: what is typed wrong ends in one line that says how to mend it."""

import argparse
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn

from vlsuite.errors import ConfigError

#: Other names of what many commands have, and how it is called here.
_ELSEWHERE = {
    "-o": "--out",
    "--outdir": "--out",
    "--output-dir": "--out",
    "--output_dir": "--out",
    "--save-dir": "--out",
    "--save_dir": "--out",
}


class CommandParser(argparse.ArgumentParser):
    """argparse's parser, without its usage block above every error.

    Subparsers are of the same class. Errors are raised, so that they end as all others do: one
    line ``error: ...`` on stderr and exit code 2.

    Attributes:
        familiar: words of other programs that users try here, and what is written instead; a
            ``{}`` in that is filled with the value that was given.
        otherwise: what is said of an unknown option that is like none of these.
        advice: what to write in place of a word that is no choice, told from it and the words
            behind it; empty where it knows nothing.
        verbs: words that, standing first, are read by a parser of their own.
    """

    familiar: Mapping[str, str] = MappingProxyType({})
    otherwise: str = ""
    advice: Callable[[str, Sequence[str]], str] | None = None
    _given: Sequence[str] = ()
    verbs: "Mapping[str, CommandParser]" = MappingProxyType({})

    def __init__(self, *args: Any, **settings: Any) -> None:
        """As argparse's, but options have to be written out: a new one breaks no script."""
        super().__init__(*args, **{"allow_abbrev": False} | settings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where help is.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{self.prog}: {message} (see '{self.prog} --help')")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but nothing may be left over: an action says so, not the program.

        Raises:
            ConfigError: words are missing, wrong or too many.
        """
        given = self._given = list(args or ())
        if given and given[0] in self.verbs:
            return self.verbs[given[0]].parse_known_args(given[1:], namespace)
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(self._unknown(rest, list(args or ())))
        return parsed, rest

    def _unknown(self, rest: Sequence[str], given: Sequence[str]) -> str:
        options = [word for word in rest if word.startswith("-") and word.strip("-")]
        if not options:
            return f"too many words: {' '.join(rest)}"
        name, equals, value = options[0].partition("=")
        if not equals:
            value = _value_after(name, given)
        hint = self._familiar(name, value) or self._near(name) or self.otherwise
        return f"unknown option {name}" + (f"; {hint}" if hint else "")

    def _familiar(self, word: str, value: str) -> str:
        if word in self.familiar:
            return f"write {self.familiar[word].replace('{}', value or 'VALUE')}"
        own = _ELSEWHERE.get(word, "")
        return f"write {own} {value or 'VALUE'}" if own in self._option_string_actions else ""

    def _advised(self, word: str) -> str:
        behind = self._given[self._given.index(word) + 1 :] if word in self._given else []
        return self.advice(word, behind) if self.advice else ""

    def _near(self, option: str) -> str:
        names = {flag.lstrip("-"): flag for flag in self._option_string_actions}
        close = _closest(option.lstrip("-"), names)
        return f"did you mean {names[close]}?" if close else ""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = list(map(str, action.choices))
        close = _closest(str(value), choices)
        meant = f"did you mean '{close}'?" if close else f"choose from {', '.join(choices)}"
        if advised := self._advised(str(value)):
            raise argparse.ArgumentError(action, f"'{value}' is no name of one; {advised}")
        hint = self._familiar(str(value), "") or meant
        raise argparse.ArgumentError(action, f"there is no '{value}'; {hint}")


def _closest(word: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, n=1)), None)


def _value_after(option: str, given: Sequence[str]) -> str:
    """The word behind an option, unless that is an option too."""
    after = given[given.index(option) + 1 :][:1] if option in given else []
    return after[0] if after and not after[0].startswith("-") else ""
