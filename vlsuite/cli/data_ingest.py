"""``vlsuite data ingest``: lists of addresses to shards."""

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipelines.ingest.settings import (
    FetchSettings,
    ListSettings,
    PictureSettings,
    RunSettings,
    list_paths,
)
from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, read_options
from vlsuite.errors import StopRequestedError

if TYPE_CHECKING:
    from data_pipelines.ingest.run import IngestReport

_DESCRIPTION = """\
fetch the pictures of lists of URLs and write them as shards

  vlsuite data ingest pairs.parquet --url-col URL --caption-col TEXT --out data/pairs --workers 8
  vlsuite data ingest urls.txt --out data/pictures --contact https://example.org/crawl
  vlsuite data ingest cc3m.tsv --columns caption,url --out data/cc3m
  vlsuite data ingest pairs.parquet --out data/pairs --retry-failed

LIST is txt (a URL a line), csv, tsv, json, jsonl or parquet, packed by gzip or not, or a folder of
them. Beside the shards, rows/*.parquet has every row of the lists with url, status and error.

robots.txt of each host is asked before anything else of it and heeded, and so are X-Robots-Tag and
TDM-Reservation; private addresses are refused; a body is read up to --max-bytes and only if it
begins as a picture does. A run that was stopped goes on when it is called again. Options that
img2dataset has are called as there; the defaults of size and mode are those of DataComp
(--image-size 256 --resize-mode border --no-resize-only-if-bigger are img2dataset's own).
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestOptions:
    """Which lists are fetched, and where to.

    Args:
        source: name of the collection, for the manifest.
        licence: of pictures and captions, as their owners state it.
    """

    lists: tuple[str, ...] = option(
        "txt, csv, tsv, json, jsonl or parquet, or a folder of them",
        positional=True,
        metavar="LIST",
    )
    out: Path = option("folder of the shards", metavar="DIR")
    source: str = ""
    licence: str = "not stated"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.description = _DESCRIPTION
    add_options(parser, IngestOptions)
    for title, cls in (
        ("the run", RunSettings),
        ("the lists", ListSettings),
        ("what is stored", PictureSettings),
        ("how servers are asked", FetchSettings),
    ):
        add_options(parser.add_argument_group(title), cls)


def run(args: argparse.Namespace) -> int:
    """Fetch and write; returns the exit code."""
    from data_pipelines.ingest.run import ingest
    from data_pipelines.shards.manifest import Origin
    from vlsuite.batches.pictures import open_picture

    options = read_options(args, IngestOptions)
    with _continuable(options.out), _Progress() as progress:
        report = ingest(
            list_paths(options.lists),
            options.out,
            open_picture,
            rows=read_options(args, ListSettings),
            pictures=read_options(args, PictureSettings),
            fetch=read_options(args, FetchSettings),
            run=read_options(args, RunSettings),
            origin=Origin(
                source=options.source or Path(options.lists[0]).name,
                licence=options.licence,
                created_by="vlsuite data ingest " + " ".join(Path(p).name for p in options.lists),
            ),
            tell=progress.tell,
            total=progress.total,
        )
    _print(report)
    return 0


@contextmanager
def _continuable(out: Path) -> Iterator[None]:
    """Say how a run goes on that Ctrl-C or SIGTERM has ended.

    Raises:
        StopRequestedError: SIGTERM came.
        KeyboardInterrupt: Ctrl-C.
    """
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True
        if (
            signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        ):  # as a shell's background jobs have it
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)  # ends the run in the way that Ctrl-C does

    before = signal.signal(signal.SIGTERM, stop)
    how = f"shards that are whole stay in {out}: the same command goes on there"
    try:
        yield
    except KeyboardInterrupt:
        if asked:
            raise StopRequestedError(f"stopped by SIGTERM; {how}") from None
        print(how, file=sys.stderr, flush=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _print(report: "IngestReport") -> None:
    tell(
        folder=report.folder,
        num_rows=report.num_rows,
        num_pictures=report.num_pictures,
        num_shards=report.num_shards,
        num_shards_written_now=report.num_new,
        statuses=report.statuses,
        skipped=report.skipped,
        not_met=report.not_met,
    )
    share = 100 * report.num_pictures / report.num_rows
    print(
        f"{counted(report.num_pictures, 'picture')} of {counted(report.num_rows, 'row')} "
        f"({share:.1f}%) in {counted(report.num_shards, 'shard')} ({report.num_new:,} written now) "
        f"-> {report.folder}"
    )
    for status, number in sorted(report.statuses.items(), key=lambda one: -one[1]):
        if status != "ok":
            print(f"  {number:,} x {status}")
    for reason, number in report.skipped.items():
        print(f"  note: {counted(number, 'line')} of the lists could not be read ({reason})")
    for status in report.not_met:
        print(f"  note: no row that can be asked again had the status {status!r} (--retry-status)")


class _Progress:
    """Rows with a fate and pictures among them, on standard error while it is a terminal."""

    def __enter__(self) -> "_Progress":
        from tqdm import tqdm

        self._bar = tqdm(unit=" rows", leave=False, disable=None, file=sys.stderr)
        self._rows, self._pictures = 0, 0
        return self

    def tell(self, rows: int, pictures: int) -> None:
        """Count."""
        self._rows += rows
        self._pictures += pictures
        if self._rows:
            share = 100 * self._pictures / self._rows
            self._bar.set_postfix_str(f"{share:.1f}% pictures", refresh=False)
        self._bar.update(rows)

    def total(self, rows: int) -> None:
        """How many rows there are."""
        self._bar.total = rows

    def __exit__(self, *_: object) -> None:
        self._bar.close()
