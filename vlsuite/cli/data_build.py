"""``vlsuite data build``: shards from a source, whose fields are the options.

``vlsuite data build SOURCE INPUT... --out DIR``: what a source reads is the first word behind its
name, and its field is positional. Sources that make their data themselves have none.
"""

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NoReturn

from data_pipelines.errors import UnknownNameError
from data_pipelines.options import option
from data_pipelines.registry import Listed
from data_pipelines.shards.manifest import Manifest, Origin
from data_pipelines.sources.source import (
    HELD_OUT,
    TRAIN,
    Source,
    Target,
    command_line,
    own_split,
    sources,
    takes_holdout,
)
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.fitting_source import fitting_commands
from vlsuite.cli.options import (
    add_options,
    given_options,
    missing_options,
    positive,
    read_options,
)
from vlsuite.cli.parser import CommandParser

_DESCRIPTION = """\
write shards from a source

  vlsuite data build SOURCE INPUT... --out DIR [options of the source]

  vlsuite data build image-folder photos --out data/photos
  vlsuite data build table pairs.csv --holdout 0.05 --out data/pairs
  vlsuite data build video spans.csv --videos films --out data/films
  vlsuite data build emoji --out data/emoji           (it makes its own data)

What a source takes is told by: vlsuite data build SOURCE --help
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Where and how a build writes.

    Args:
        out: folder to write.
        overwrite: replace a set that vlsuite wrote there.
        layout: pairs for training, benchmark for evaluation (layout of CLIP_benchmark).
        split: name of the benchmark split.
        shard_samples: samples of one shard at most.
        shard_bytes: bytes of one shard at most (default: 1e9).
        holdout: share of the pictures to keep apart for validation, such as 0.05: DIR/train and
            DIR/holdout are written, and equal pictures stay together.
        licence: recorded in the manifest.
        attribution: recorded in the manifest.
    """

    out: Path = option(metavar="DIR")
    overwrite: bool = False
    layout: Literal["pairs", "benchmark"] = "pairs"
    split: str = "test"
    shard_samples: int | None = option(default=None, reader=positive)
    shard_bytes: int | None = option(default=None, reader=positive)
    holdout: float = option(default=0.0, metavar="SHARE")
    licence: str = "not stated"
    attribution: str = ""


class _SourceParser(CommandParser):
    """Parser of one source; where that is not available, any use of it says why."""

    problem = ""
    source: type[Source] | None = None

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.problem:
            self._refuse()
        parsed, rest = super().parse_known_args(args, namespace)
        if self.source:
            missing = missing_options(given_options(parsed, self.source), self.source)
            if missing:
                self.error(f"the following arguments are required: {', '.join(missing)}")
        return parsed, rest

    def error(self, message: str) -> NoReturn:
        """As every parser does; where words are missing, with the example.

        Raises:
            ConfigError: always.
        """
        if self.source and self.source.EXAMPLE and " required: " in message:
            message = f"{message}, as in: {self.source.EXAMPLE.splitlines()[0]}"
        elif self._get_positional_actions() and message.startswith("too many words"):
            message = f"{message}; a pattern of several files goes in quotes"
        super().error(message)

    def _refuse(self) -> NoReturn:
        raise UnknownNameError(
            f"{sources.kind} '{self.prog.split()[-1]}' is not available: {self.problem}; mend or "
            "remove that file"
        )


def add_arguments(parser: CommandParser) -> None:
    """A parser for each source; a source that cannot be imported disables itself alone."""
    parser.description = _DESCRIPTION
    parser.advice = fitting_commands
    actions = parser.add_subparsers(
        dest="source", metavar="SOURCE", required=True, parser_class=_SourceParser
    )
    for listed in sources.listed():
        problem = listed.problem or _problem_of(listed)
        text = f"not available: {problem}" if problem else _summary(listed.component)
        own = actions.add_parser(
            listed.name,
            help=text.replace("%", "%%"),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        own.problem = problem
        if not problem:
            own.source = listed.component
            example = listed.component.EXAMPLE
            own.description = f"{text}\n\n  {example}" if example else text
            _add_options(own, listed)


def run(args: argparse.Namespace, *, progress: Callable[[Iterable], Iterable]) -> int:
    """Write the set and say what was done; returns the exit code."""
    source = read_options(args, sources.get(args.source))
    if taken := source.taken_for():
        tell(taken_for=taken)
        print(taken, file=sys.stderr, flush=True)
    output = read_options(args, Output)
    sizes = {"max_samples": output.shard_samples, "max_bytes": output.shard_bytes}
    target = Target(
        out_dir=output.out,
        overwrite=output.overwrite,
        layout=output.layout,
        split=own_split(source) or output.split,
        holdout=output.holdout,
        progress=progress,
        origin=Origin(
            source=args.source,
            licence=output.licence,
            attribution=output.attribution,
            created_by=_command(args.source, source, output),
        ),
        **{name: size for name, size in sizes.items() if size is not None},
    )
    manifest = source.build(target)
    if not output.holdout:
        _tell(manifest, output.out)
        return 0
    held = Manifest.load(output.out / HELD_OUT)
    _tell(held, output.out / HELD_OUT)
    _tell(manifest, output.out / TRAIN)
    tell(holdout=output.out / HELD_OUT, num_holdout_samples=held.num_samples)
    print(
        f"train on them with: vlsuite train RECIPE --set data.train={output.out / TRAIN} "
        f"--set validation.data={output.out / HELD_OUT}"
    )
    return 0


def _add_options(parser: argparse.ArgumentParser, listed: Listed) -> None:
    add_options(parser.add_argument_group(f"options of {listed.name}"), listed.component)
    # a source that reads one of its own splits gives it that name
    left_out = ("split",) if _has_split(listed.component) else ()
    left_out += () if takes_holdout(listed.component) else ("holdout",)
    add_options(parser.add_argument_group("output"), Output, leave_out=left_out)


def _problem_of(listed: Listed) -> str:
    """Why a source cannot be options; empty where it can."""
    try:
        _add_options(argparse.ArgumentParser(), listed)
    except (TypeError, NameError, argparse.ArgumentError) as error:
        return f"{listed.component.__qualname__}: {error}"
    return ""


def _summary(source: type[Source]) -> str:
    return source.HELP or (source.__doc__ or "").partition("\n")[0]


def _has_split(source: type[Source] | Source) -> bool:
    return any(entry.name == "split" for entry in fields(source))


def _command(name: str, source: Source, output: Output) -> str:
    """The command without its output folder: the same input then gives the same manifest."""
    words = [command_line(name, source)]
    if output.layout != "pairs":
        words += [f"--layout {output.layout}"]
        words += [] if _has_split(source) else [f"--split {output.split}"]
    words += [f"--shard-samples {output.shard_samples}"] if output.shard_samples else []
    words += [f"--shard-bytes {output.shard_bytes}"] if output.shard_bytes else []
    words += [f"--holdout {output.holdout:g}"] if output.holdout else []
    return " ".join(words)


def _tell(manifest: Manifest, out: Path) -> None:
    tell(
        folder=out,
        num_samples=manifest.num_samples,
        num_shards=len(manifest.shards),
        num_bytes=manifest.num_bytes,
        read=manifest.read,
        skipped=manifest.skipped,
    )
    print(
        f"{counted(manifest.num_samples, 'sample')} in {counted(len(manifest.shards), 'shard')} "
        f"({manifest.num_bytes / 1e6:,.1f} MB) -> {out}"
    )
    for what, count in manifest.read.items():
        print(f"  read {count:,} {what}")
    counts = manifest.origin.details.get("samples", {})
    if isinstance(counts, dict):
        for name, count in counts.items():
            print(f"  {name:<26} {count:>7,} sample{'' if count == 1 else 's'}")
    for reason, count in manifest.skipped.items():
        print(f"  skipped {count:,}: {reason} (e.g. {manifest.skipped_examples[reason][0]})")
