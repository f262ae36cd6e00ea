"""``vlsuite curate score``: a column of scores beside a table."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.curate_sharing import Sharing
from vlsuite.cli.inputs import refuse_missing_models
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.cli.shard_progress import shard_progress

HELP = """\
give every sample a score by a model, for the filters clip-score, perplexity and score-range

  vlsuite curate score data/pairs --model ViT-B-32:openai
  vlsuite curate score data/pairs --model runs/first --name first
  vlsuite curate run my.toml data/pairs --out curated --set clip-score.score=first
  vlsuite curate score data/pairs --scorer perplexity --model models/gpt2
  vlsuite curate score 's3://bucket/pairs/{00000..01287}.tar' --table table --model ViT-B-32:openai
  vlsuite curate score data/pairs --scorer linear-head --set head=aesthetic.safetensors \\
      --model ViT-L-14:openai --name aesthetic

A column beside the table of 'vlsuite curate scan', with the fingerprint of the model and its
preprocessing; a scoring that was stopped goes on; --rank and --world share it between jobs or
devices, and --merge ends it. Pictures that were scaled for their shards score otherwise than the
originals: compare thresholds of papers with care.

Scorers (--list shows their settings; your own by --import FILE):
  clip         cosine of picture and caption by a dual encoder
  perplexity   of the caption by a causal language model (a folder of transformers), or given the
               picture by a CoCa
  linear-head  aesthetic, watermark or safety heads on the vectors of pictures, in safetensors
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Which shards are scored, and by what."""

    paths: tuple[str, ...] = option(
        "those of the table: tar, folder of tars, pattern, or the same behind an address",
        positional=True,
        default=(),
        metavar="SHARDS",
    )
    scorer: str = option("what the score is", default="clip", metavar="NAME")
    model: str = option("of the scorer, named as for 'vlsuite eval', or its folder", default="")
    set: tuple[str, ...] = option(
        "a setting of the scorer", default=(), repeated=True, metavar="SETTING=VALUE"
    )
    name: str = option("of the column (default: the scorer's)", default="")
    table: Path | None = option(
        "folder of the table (default: 'curation' beside the shards)", default=None, metavar="DIR"
    )
    batch_size: int = option("samples of a forward pass", default=256, reader=positive)
    device: str = option("cpu, cuda, cuda:1", default="cpu")
    list: bool = option("show all scorers with their settings, and do nothing", default=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    add_options(parser, Score)
    add_options(parser, Sharing)


def run(args: argparse.Namespace) -> int:
    """Write the column; returns the exit code."""
    from data_pipelines.curation.table import open_table_of
    from data_pipelines.curation.table_shards import shards_of
    from data_pipelines.settings import apply_overrides
    from data_pipelines.shards.new_folders import no_empty_folders
    from data_pipelines.workers.share import refuse_missing
    from vlsuite.errors import ConfigError

    options, sharing = read_options(args, Score), read_options(args, Sharing)
    if options.list:
        return _list()
    if not options.paths or not options.model:
        raise ConfigError("name the shards of the table and --model, as in the examples of --help")
    table = open_table_of(options.paths, options.table)
    shards_of(table, options.paths)  # what is not there is told before a model is opened
    if options.scorer == "clip":
        refuse_missing_models(options.model)
    from vlsuite.models.part_tasks import ModelCluster
    from vlsuite.models.score_shards import missing_scores, score_shards
    from vlsuite.models.scorers.contract import scorers

    chosen = apply_overrides(scorers.get(options.scorer)(), options.set, where="scorer.")
    name = options.name or options.scorer
    cluster = (
        ModelCluster(address=sharing.ray, model=options.model, device=options.device, scorer=chosen)
        if sharing.ray
        else None
    )
    # of a cluster's model, only what it is has to be known here
    scorer = chosen.build(options.model, device="cpu" if cluster else options.device)
    if sharing.merge:
        missing = missing_scores(scorer, table, name=name, batch_size=options.batch_size)
        names = [part.shard for part in table.parts]
        refuse_missing(missing, names, folder=table.folder, world=sharing.world)
    with no_empty_folders(table.folder):
        done = score_shards(
            scorer,
            options.paths,
            table,
            name=name,
            batch_size=options.batch_size,
            share=sharing.share,
            cluster=cluster,
            progress=shard_progress,
        )
    tell(
        table=table.folder,
        column=name,
        num_samples=done.num_samples,
        num_shards_read_now=done.num_read,
        num_without=done.num_without,
    )
    print(
        f"{counted(done.num_samples, 'sample')} ({done.num_read:,} shards read now{sharing.told}), "
        f"{done.num_without:,} without a score -> column '{name}' of {table.folder}"
    )
    return 0


def _list() -> int:
    from vlsuite.cli.component_list import print_components
    from vlsuite.models.scorers.contract import scorers

    print_components(scorers)
    return 0
