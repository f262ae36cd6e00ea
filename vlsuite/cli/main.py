"""``vlsuite``: one subcommand a module of this package."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from data_pipelines import plugins
from data_pipelines.printable import printable_streams
from data_pipelines.shards.new_folders import no_empty_folders
from vlsuite import torchvision_operators
from vlsuite.cli.outputs import check_outputs
from vlsuite.cli.parser import CommandParser
from vlsuite.cli.printing import add_printing, printing
from vlsuite.errors import ConfigError, UserError

COMMANDS = (
    "data",
    "curate",
    "train",
    "eval",
    "detect",
    "embed",
    "search",
    "classify",
    "caption",
    "omnibench",
    "report",
    "study",
    "xmai",
    "export",
    "doctor",
    "cache",
    "completion",
)

#: What other programs call these commands.
_FAMILIAR = {
    "--json": "it last: vlsuite COMMAND ... --json",
    "--quiet": "it last: vlsuite COMMAND ... --quiet",
    "bench": "vlsuite eval",
    "benchmark": "vlsuite eval",
    "build": "vlsuite data build",
    "cache-clear": "vlsuite cache --prune",
    "check": "vlsuite doctor",
    "compare": "vlsuite eval compare",
    "completions": "vlsuite completion",
    "evaluate": "vlsuite eval",
    "finetune": "vlsuite train",
    "fit": "vlsuite train",
    "help": "vlsuite --help",
    "inspect": "vlsuite data inspect",
    "test": "vlsuite eval",
    "tokenizer": "vlsuite data tokenizer",
    "validate": "vlsuite data validate",
    "version": "vlsuite --version",
}

_DESCRIPTION = """\
Train and benchmark vision-language models.

  vlsuite doctor                                    what this machine can do
  vlsuite data build emoji --out data/emoji         shards of real picture-caption pairs
  vlsuite curate scan data/emoji/train              a table of every sample, to filter by recipes
  vlsuite train emoji --out runs/first              train a CLIP on them
  vlsuite eval runs/first --data data/emoji/...     zero-shot and retrieval, with intervals
  vlsuite detect photo.jpg "a red car" --model runs/vild --out found
                                                    boxes around things of any names
  vlsuite search embeddings "a red car"             in what vlsuite embed stored
  vlsuite omnibench run OmniBench --model URL#MODEL --out runs/asked
                                                    questions about picture and sound together
  vlsuite report runs/first                         one HTML page of the whole run
  vlsuite study noise data/emoji/train --out study  which method stands wrong captions best
  vlsuite cache                                     what is kept in the cache folder, and how large
  vlsuite completion bash                           words of all commands by the tabulator key
  vlsuite --version                                 of vlsuite, torch and open_clip

Every command takes --json (its result as one JSON object) and --quiet (no progress).
"""


_IMPORTS = """\
--import FILE_OR_MODULE, with any command: your own objectives, model families, recipes, tasks,
sources and the like, registered by name in that file (examples/ has some). Also VLSUITE_IMPORT.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; a user's mistake is one line on stderr and exit code 2.

    ``vlsuite.errors`` has two more codes, both for runs that can be continued.
    """
    with printable_streams():
        return _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(given: list[str]) -> int:
    # The deepspeed launcher adds this before the subcommand; LOCAL_RANK says the same.
    given = [a for a in given if not a.startswith("--local_rank=")]
    try:
        named, given = _without_imports(given)
        plugins.import_all(named)
        parser = build_parser(_wanted(given))
        parsed = parser.parse_args(given)
        if parsed.command is None:
            parser.print_help()
            return 0
        command = importlib.import_module(f"vlsuite.cli.{parsed.command}")
        with printing(parsed), no_empty_folders(*check_outputs(parser, parsed)):
            return command.run(parsed)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except (RuntimeError, ImportError) as error:
        problem = torchvision_operators.mismatch(error)
        if problem is None:
            raise
        print(f"error: {problem}", file=sys.stderr, flush=True)
        return problem.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader (head, less) went away; keep Python from complaining at shutdown
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _without_imports(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What ``--import`` names, wherever it stands, and the arguments without it."""
    own = argparse.ArgumentParser(
        prog="vlsuite", add_help=False, allow_abbrev=False, exit_on_error=False
    )
    own.add_argument("--import", action="append", default=[], dest="named")
    try:
        found, rest = own.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ConfigError(f"vlsuite: {error}; write --import FILE_OR_MODULE") from error
    return found.named, rest


def _wanted(arguments: Sequence[str]) -> str | None:
    return next((a for a in arguments if a in COMMANDS), None)


class _Version(argparse.Action):
    """Prints versions as they are installed, without importing what is slow to import."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print one line and stop."""
        from importlib.metadata import version

        from vlsuite.api.version import __version__

        others = {"torch": "torch", "open_clip": "open_clip_torch"}
        told = [f"{name} {version(package)}" for name, package in others.items()]
        print(", ".join([f"vlsuite {__version__}", *told]))
        parser.exit()


def build_parser(*wanted: str | None) -> argparse.ArgumentParser:
    """All subcommands by name; only the wanted ones' options are built, imports being slow."""
    parser = CommandParser(
        prog="vlsuite",
        description=_DESCRIPTION,
        epilog=_IMPORTS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.familiar = _FAMILIAR
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="versions of vlsuite, torch and open_clip"
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"vlsuite.cli.{name}")
        subparser = subparsers.add_parser(
            name,
            help=module.HELP.splitlines()[0],
            description=module.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in wanted:
            subparser.familiar = getattr(module, "FAMILIAR", {})
            subparser.otherwise = getattr(module, "OTHERWISE", "")
            module.add_arguments(subparser)
            add_printing(subparser)
    return parser
