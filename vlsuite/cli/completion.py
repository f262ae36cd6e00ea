"""``vlsuite completion``: a script that completes words of all commands in a shell."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, read_options
from vlsuite.errors import ConfigError

HELP = """\
words of all commands by the tabulator key, in bash, zsh and fish

  vlsuite completion bash > ~/.local/share/bash-completion/completions/vlsuite
  vlsuite completion zsh > ~/.zfunc/_vlsuite       (fpath+=~/.zfunc before compinit in .zshrc)
  vlsuite completion fish > ~/.config/fish/completions/vlsuite.fish

The script knows the commands, sources and options as they are now, those of --import included:
write it again after an update.
"""

SHELLS = ("bash", "zsh", "fish")

#: What help calls a path of any kind.
_PATHS = frozenset(
    {"ANNOTATIONS", "CSV", "DATA", "DATASET", "FILE", "FOLDER|TABLE|LIST", "HTML", "NPY", "PARQUET",
     "PATH", "PNG", "RUN", "RUN2", "SHARDS", "PICTURE_OR_FOLDER", "QUESTIONS", "RECIPE",
     "RUN_OR_EXPORT", "RUN_OR_MODEL", "TXT", "TABLE"}
)  # fmt: skip
_FOLDERS = frozenset({"DIR", "RUN_DIR", "FIRST", "SECOND"})


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionOptions:
    """For which shell."""

    shell: str = option("whose script is printed", positional=True, choices=SHELLS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_options(parser, CompletionOptions)


def run(args: argparse.Namespace) -> int:
    """Print the script; returns the exit code.

    Raises:
        ConfigError: the library that writes it is not installed.
    """
    options = read_options(args, CompletionOptions)
    text = script(options.shell)
    tell(shell=options.shell, script=text)
    print(text)
    return 0


def script(shell: str) -> str:
    """The script of a shell.

    Raises:
        ConfigError: the library that writes it is not installed.
    """
    try:
        import shtab  # type: ignore[import-not-found]
    except ImportError as error:
        raise ConfigError("completion needs shtab; run 'pip install shtab'") from error
    from vlsuite.cli.main import COMMANDS, build_parser
    from vlsuite.cli.printing import below

    parser = build_parser(*COMMANDS)
    todo = [parser]
    while todo:
        one = todo.pop()
        todo += below(one).values()
        for action in one._actions:
            if isinstance(action.metavar, str) and action.metavar in _FOLDERS:
                action.complete = shtab.DIR  # type: ignore[attr-defined]
            elif action.type is Path or action.metavar in _PATHS:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
    return shtab.complete(parser, shell=shell)
