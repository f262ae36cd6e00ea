"""``vlsuite curate score``: a column of CLIP scores beside a table."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.curate_sharing import Sharing
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.cli.shard_progress import shard_progress

HELP = """\
score how well picture and caption of each sample agree, for the filter clip-score

  vlsuite curate score data/pairs --model ViT-B-32:openai
  vlsuite curate score data/pairs --model runs/first --name first
  vlsuite curate run my.toml data/pairs --out curated --set clip-score.score=first

A column beside the table of 'vlsuite curate scan', with the fingerprint of the model and its
preprocessing; a scoring that was stopped goes on; --rank and --world share
it between jobs or devices, and --merge ends it. Pictures that were scaled for their shards score
otherwise than the originals: compare thresholds of papers with care.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Which shards are scored, and by what."""

    paths: tuple[str, ...] = option(
        "those of the table: tar, folder of tars, or pattern", positional=True, metavar="SHARDS"
    )
    model: str = option("a CLIP, named as for 'vlsuite eval'")
    name: str = option("of the column", default="clip")
    table: Path | None = option(
        "folder of the table (default: 'curation' beside the shards)", default=None, metavar="DIR"
    )
    batch_size: int = option("pairs of a forward pass", default=256, reader=positive)
    device: str = option("cpu, cuda, cuda:1", default="cpu")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    add_options(parser, Score)
    add_options(parser, Sharing)


def run(args: argparse.Namespace) -> int:
    """Write the column; returns the exit code."""
    from data_pipelines.curation.table import open_table
    from data_pipelines.shards.find import find_shards
    from data_pipelines.workers.share import refuse_missing
    from vlsuite.errors import ConfigError
    from vlsuite.models.opening import open_model
    from vlsuite.models.part_tasks import ModelCluster
    from vlsuite.models.score_shards import Scorer, missing_scores, score_shards

    options, sharing = read_options(args, Score), read_options(args, Sharing)
    table = open_table(options.table or find_shards(options.paths)[0].parent)
    cluster = (
        ModelCluster(address=sharing.ray, model=options.model, device=options.device)
        if sharing.ray
        else None
    )
    # of a cluster's model, only what it is has to be known here
    model = open_model(options.model, device="cpu" if cluster else options.device)
    if not isinstance(model, Scorer):
        raise ConfigError(
            f"--model {options.model} does not embed pictures and texts; name a dual encoder"
        )
    if sharing.merge:
        missing = missing_scores(model, table, name=options.name, batch_size=options.batch_size)
        names = [part.shard for part in table.parts]
        refuse_missing(missing, names, folder=table.folder, world=sharing.world)
    done = score_shards(
        model,
        options.paths,
        table,
        name=options.name,
        batch_size=options.batch_size,
        share=sharing.share,
        cluster=cluster,
        progress=shard_progress,
    )
    tell(
        table=table.folder,
        column=options.name,
        num_samples=done.num_samples,
        num_shards_read_now=done.num_read,
        num_without=done.num_without,
    )
    print(
        f"{counted(done.num_samples, 'sample')} ({done.num_read:,} shards read now{sharing.told}), "
        f"{done.num_without:,} without a score -> column '{options.name}' of {table.folder}"
    )
    return 0
