"""``vlsuite cache``: what is kept in the user's cache folder, and room made there."""

import argparse
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, read_options
from vlsuite.cli.shard_progress import shard_progress
from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from vlsuite.api.caches import Cache, Pruned

HELP = """\
what vlsuite keeps in your cache folder, how large it is, and room made there

  vlsuite cache                                   every kind: entries, size, last use
  vlsuite cache --prune --older-than 30d          what was not used for 30 days goes
  vlsuite cache embeddings --prune --most 10GB    the oldest go, until 10 GB are left
  vlsuite cache --prune --dry-run                 what would go

All of it can be made again. Answers of model endpoints cost money, so they go only where they are
named: vlsuite cache answers --prune. The folder is $XDG_CACHE_HOME/vlsuite, else ~/.cache/vlsuite.
Prune while no other command runs: what one is reading may go.
"""

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(m|h|d|w)")
_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|TB)")
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def _age(text: str) -> float:
    """Seconds of "30d"."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no age; write 90m, 12h, 30d or 8w")
    return float(found[1]) * _SECONDS[found[2]]


def _size(text: str) -> int:
    """Bytes of "10GB"."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no size; write 500MB or 10GB")
    return int(float(found[1]) * _BYTES[found[2]])


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheOptions:
    """What is listed or taken away.

    Args:
        kinds: of which (default: all; to prune, all but answers).
        prune: take entries away, the least recently used first.
        older_than: of these only what was not used for so long, 30d or 12h.
        most: only until no more than this is left, 10GB.
        dry_run: only say what would go.
    """

    kinds: tuple[str, ...] = option(default=(), positional=True, metavar="KIND")
    prune: bool = False
    older_than: float | None = option(default=None, reader=_age, metavar="AGE")
    most: int | None = option(default=None, reader=_size, metavar="SIZE")
    dry_run: bool = False

    def __post_init__(self) -> None:
        chosen = {"older-than": self.older_than, "most": self.most, "dry-run": self.dry_run or None}
        alone = [name for name, value in chosen.items() if value is not None]
        if alone and not self.prune:
            raise ConfigError(f"--{alone[0]} says what --prune takes away; give --prune too")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_options(parser, CacheOptions)


def run(args: argparse.Namespace) -> int:
    """List or prune; returns the exit code."""
    from vlsuite.api.caches import caches, chosen_caches, prune

    options = read_options(args, CacheOptions)
    if options.prune:
        with _counting() as advance:
            done = prune(
                options.kinds,
                older_than=options.older_than,
                most_bytes=options.most,
                dry_run=options.dry_run,
                advance=advance,
            )
        _tell_pruned(done, dry_run=options.dry_run)
    else:
        with _counting() as advance:
            found = caches(advance=advance)
        _tell_caches(chosen_caches(found, options.kinds))
    return 0


@contextmanager
def _counting() -> Iterator[Callable[[], object]]:
    with closing(shard_progress(count(), unit="files", first_after=1.0)) as files:
        yield partial(next, files)


def _tell_caches(found: "list[Cache]") -> None:
    from data_pipelines.shards.sidecar import cache_folder

    rows = [
        {"kind": c.kind, "about": c.about, "entries": len(c.entries), "bytes": c.bytes_,
         "last_used": c.last_used, "folder": c.folder}
        for c in found
    ]  # fmt: skip
    total = sum(cache.bytes_ for cache in found)
    tell(folder=cache_folder(), bytes=total, caches=rows)
    wide = max((len(cache.kind) for cache in found), default=0)
    for cache in found:
        used = "-" if cache.last_used is None else _ago(time.time() - cache.last_used)
        print(
            f"{cache.kind:{wide}}  {_shown(cache.bytes_):>9}  {len(cache.entries):>7,} "
            f"{'entry  ' if len(cache.entries) == 1 else 'entries'}  used {used:>11}  {cache.about}"
        )
    print(f"{_shown(total)} in {cache_folder()}")


def _tell_pruned(done: "Pruned", *, dry_run: bool) -> None:
    freed = sum(entry.bytes_ for entry in done.entries)
    tell(
        removed=[{"kind": e.kind, "path": e.path, "bytes": e.bytes_} for e in done.entries],
        bytes=freed,
        in_use=[entry.path for entry in done.in_use],
        dry_run=dry_run,
    )
    counts: dict[str, list[int]] = {}
    for entry in done.entries:
        counts.setdefault(entry.kind, []).append(entry.bytes_)
    for kind, sizes in counts.items():
        print(f"{kind}: {len(sizes):,} {'would go' if dry_run else 'gone'}, {_shown(sum(sizes))}")
    for entry in done.in_use:
        print(f"{entry.path} stays: another command writes it")
    print(f"{_shown(freed)} {'would be freed' if dry_run else 'freed'}")


def _shown(size: int) -> str:
    for unit in ("TB", "GB", "MB", "kB"):
        if size >= _BYTES[unit]:
            return f"{size / _BYTES[unit]:.1f} {unit}"
    return f"{size} B"


def _ago(seconds: float) -> str:
    for unit, name in (("d", "days"), ("h", "h"), ("m", "min")):
        if seconds >= 2 * _SECONDS[unit]:
            return f"{seconds / _SECONDS[unit]:.0f} {name} ago"
    return "just now"
