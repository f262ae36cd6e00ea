"""``vlsuite curate embed``: vectors beside a table."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.curate_sharing import Sharing
from vlsuite.cli.inputs import refuse_missing_models
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.cli.shard_progress import shard_progress

HELP = """\
embed the pictures or captions of all samples, for semantic-duplicates and decontaminate

  vlsuite curate embed data/pairs --model ViT-B-32:openai
  vlsuite curate embed data/pairs --model runs/first --name captions --of caption
  vlsuite curate embed 's3://bucket/pairs/{00000..01287}.tar' --table table --model ViT-B-32:openai
  vlsuite curate run my.toml data/pairs --out curated --set semantic-duplicates.vectors=captions

Files beside the table of 'vlsuite curate scan': vectors/NAME/SHARD.npy for each shard, fp16, a row
for every sample (NaN where a picture cannot be read), 1 KB a sample at 512 numbers. An embedding
that was stopped goes on; vectors of another model, or of shards that changed, are made anew. --rank
and --world share it between jobs or devices, and --merge ends it.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Embed:
    """Which shards are embedded, and by what."""

    paths: tuple[str, ...] = option(
        "those of the table: tar, folder of tars, pattern, or the same behind an address",
        positional=True,
        metavar="SHARDS",
    )
    model: str = option("a CLIP, named as for 'vlsuite eval'")
    name: str = option("of the vectors", default="clip")
    of: Literal["picture", "caption"] = option(
        "what is embedded: the picture, or the first caption", default="picture"
    )
    table: Path | None = option(
        "folder of the table (default: 'curation' beside the shards)", default=None, metavar="DIR"
    )
    batch_size: int = option("samples of a forward pass", default=256, reader=positive)
    device: str = option("cpu, cuda, cuda:1", default="cpu")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    add_options(parser, Embed)
    add_options(parser, Sharing)


def run(args: argparse.Namespace) -> int:
    """Write the vectors; returns the exit code."""
    from data_pipelines.curation.table import open_table_of
    from data_pipelines.curation.table_shards import shards_of
    from data_pipelines.shards.new_folders import no_empty_folders
    from data_pipelines.workers.share import refuse_missing

    options, sharing = read_options(args, Embed), read_options(args, Sharing)
    table = open_table_of(options.paths, options.table)
    shards_of(table, options.paths)  # what is not there is told before a model is opened
    refuse_missing_models(options.model)
    from vlsuite.models.embed_shards import embed_shards, missing_vectors
    from vlsuite.models.part_tasks import ModelCluster
    from vlsuite.models.scorers.dual_encoder import opened_dual_encoder

    cluster = (
        ModelCluster(address=sharing.ray, model=options.model, device=options.device)
        if sharing.ray
        else None
    )
    # of a cluster's model, only what it is has to be known here
    model = opened_dual_encoder(options.model, device="cpu" if cluster else options.device)
    if sharing.merge:
        missing = missing_vectors(
            model, table, name=options.name, of=options.of, batch_size=options.batch_size
        )
        names = [part.shard for part in table.parts]
        refuse_missing(missing, names, folder=table.folder, world=sharing.world)
    with no_empty_folders(table.folder):
        done = embed_shards(
            model,
            options.paths,
            table,
            name=options.name,
            of=options.of,
            batch_size=options.batch_size,
            share=sharing.share,
            cluster=cluster,
            progress=shard_progress,
        )
    tell(
        table=table.folder,
        name=options.name,
        num_samples=done.num_samples,
        num_shards_read_now=done.num_read,
        num_without=done.num_without,
        embed_dim=done.dim,
    )
    print(
        f"{counted(done.num_samples, 'sample')} ({done.num_read:,} shards read now{sharing.told}), "
        f"{done.num_without:,} without a vector -> {done.dim} numbers each, vectors "
        f"'{options.name}' of {table.folder}"
    )
    return 0
