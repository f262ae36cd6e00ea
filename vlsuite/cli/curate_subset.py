"""``vlsuite curate subset``: choose samples of shards without writing them anew."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, read_options
from vlsuite.cli.shard_progress import shard_progress
from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from data_pipelines.subsets.subset import Subset

HELP = """\
choose samples of shards, in a small file that training and evaluation take

  vlsuite curate subset data/pool --from curated/kept.parquet --out clean.subset
  vlsuite curate subset data/pool --from datacomp_uids.npy --out datacomp.subset
  vlsuite curate subset data/pool --from uids.txt --missing gone.txt --out mine.subset
  vlsuite curate subset --show clean.subset
  vlsuite curate subset data/pool --from clean.subset --uids clean.npy

Nothing is copied: the file has one bit for each sample of the shards, and says which shards they
were (name, number of samples, content), so that it is refused for others. Folders may change.

  vlsuite train RECIPE --set data.train=data/pool --set data.subset=clean.subset --out runs/clean
  vlsuite eval runs/clean --data data/pool --subset clean.subset

--from reads: a table of kept samples (Parquet with the columns uid, shard = file name and row =
place in the shard); a list of uids as DataComp has them (.npy or bare entries of dtype u8,u8,
sorted), or as text, one a line; or another subset, of which the part of these shards is taken. A
uid that stands in a list twice is taken twice an epoch.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetOptions:
    """What is chosen of which shards.

    Args:
        paths: all shards of the pool: tars, folders, patterns or addresses.
        from_: what names the samples: kept.parquet, a list of uids, or a subset.
        out: subset to write.
        uids: list of uids to write besides, as DataComp has them (.npy).
        missing: text file to write with the listed uids that no shard has.
        recipe: what the choice was made by, to be remembered in the subset.
        show: a subset whose content is told; nothing is written.
    """

    paths: tuple[str, ...] = option(default=(), positional=True, metavar="SHARDS")
    from_: Path | None = option(default=None, metavar="FILE", flag="--from")
    out: Path | None = option(default=None, metavar="FILE")
    uids: Path | None = option(default=None, metavar="NPY")
    missing: Path | None = option(default=None, metavar="TXT")
    recipe: str = ""
    show: Path | None = option(default=None, metavar="FILE")

    def __post_init__(self) -> None:
        if self.show is not None:
            if self.paths or self.from_ or self.out:
                raise ConfigError("--show tells what is in one subset, and takes nothing else")
        elif not self.paths or self.from_ is None or not (self.out or self.uids):
            raise ConfigError(
                "name the shards, --from FILE with the samples to keep and --out FILE (or --show "
                "FILE); see 'vlsuite curate subset --help'"
            )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite curate subset``."""
    add_options(parser, SubsetOptions)


def run(args: argparse.Namespace) -> int:
    """Write or tell a subset."""
    options = read_options(args, SubsetOptions)
    if options.show is not None:
        from data_pipelines.subsets.showing import described
        from data_pipelines.subsets.subset_file import read_subset

        shown = read_subset(options.show)
        _tell(shown)
        print(described(shown, size=options.show.stat().st_size))
        return 0
    return _make(options)


def _tell(subset: "Subset") -> None:
    tell(
        num_samples=subset.num_samples,
        num_kept=subset.num_kept,
        num_taken=subset.num_taken,
        num_shards=len(subset.parts),
        digest=subset.digest,
        provenance=subset.provenance,
    )


def _make(options: SubsetOptions) -> int:
    from data_pipelines.shards.atomic import write_file
    from data_pipelines.subsets.datacomp import write_uids
    from data_pipelines.subsets.making import make_subset
    from data_pipelines.subsets.pool import open_pool
    from data_pipelines.subsets.showing import advice, summary_line
    from data_pipelines.subsets.subset_file import write_subset

    assert options.from_ is not None, "checked when the options were read"
    pool = open_pool(options.paths)
    made = make_subset(pool, options.from_, recipe=options.recipe, progress=shard_progress)
    _tell(made.subset)
    tell(num_missing=made.num_missing, subset=options.out, uids=options.uids)
    print(summary_line(made.subset))
    if made.num_missing:
        told = counted(made.num_missing, "listed uid is", "listed uids are")
        where = f" -> {options.missing}" if options.missing else "; --missing FILE lists them"
        print(f"warning: {told} in none of these shards{where}")
    if options.missing:
        write_file(options.missing, "".join(f"{uid}\n" for uid in made.missing).encode())
    if again := made.subset.provenance.get("samples_of_a_uid_met_before"):
        print(f"note: {again:,} samples have a uid that another sample has too; all are kept")
    if options.out:
        size = write_subset(made.subset, options.out)
        print(f"{options.out}: {size:,} bytes, digest {made.subset.digest}")
    if options.uids:
        count = write_uids(pool, made.subset, options.uids, progress=shard_progress)
        print(f"{options.uids}: {count:,} uids")
    for line in advice(made.subset, pool):
        print(line)
    return 0
