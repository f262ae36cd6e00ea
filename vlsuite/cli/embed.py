"""``vlsuite embed``: vectors of pictures and texts, on disk."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_data, refuse_missing_models
from vlsuite.cli.options import add_options, positive, read_options

HELP = """\
store embeddings of pictures and texts, with their uids, paths and captions

  vlsuite embed photos --model ViT-B-32:laion2b_s34b_b79k --out embeddings
  vlsuite embed 'data/pairs/*.tar' --model runs/first --of both --out embeddings
  vlsuite embed pairs.parquet --image-column jpg --caption-column txt --model runs/first --out e
  vlsuite embed sentences.txt --of texts --model runs/first --layout parquet --out texts
  vlsuite search embeddings "a red car"

DATA is a tar, a folder of tars or a pattern; a folder of pictures (captions in .txt beside them); a
picture; a .txt with one path a line (with --of texts: one text a line); a .csv, .tsv or .parquet of
paths, or a .parquet with the pictures' bytes. What cannot be embedded is in skipped/ with its reason.

Stop it and start it again as you like: it goes on, to the same bytes, with any number of workers.
--layout npy writes images/00000.npy, texts/00000.npy and rows/00000.parquet; parquet one file a
part; clip-retrieval img_emb/, text_emb/ and metadata/ as that project's inference does.
--pixels close decodes JPEG and resizes faster, within 2 levels of 255 of what 'vlsuite eval' shows a
model; exact shows the same.
"""  # noqa: E501


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedOptions:
    """What is embedded, by what, and in which form."""

    data: tuple[str, ...] = option("what to embed, see above", positional=True, metavar="DATA")
    model: str = option("a dual encoder, named as for 'vlsuite eval'")
    out: Path = option("folder of the embeddings", metavar="DIR")
    of: str = option(
        "what is embedded of each sample", default="images", choices=("images", "texts", "both")
    )
    layout: str = option(
        "form of the files", default="npy", choices=("npy", "parquet", "clip-retrieval")
    )
    dtype: str = option("of the stored numbers", default="fp16", choices=("fp16", "fp32"))
    pixels: str = option("how pictures are made ready", default="close", choices=("close", "exact"))
    precision: str = option(
        "what the model computes in", default="fp32", choices=("fp32", "bf16", "fp16")
    )
    batch_size: int | None = option(
        "items of a forward pass (default: 32 on a CPU, 256 on a GPU)", default=None,
        reader=positive,
    )  # fmt: skip
    rows_per_part: int | None = option(
        "most items of a file; a kill loses at most so many a process (default: 256 to 8,192, by "
        "the size of the data)",
        default=None, reader=positive,
    )  # fmt: skip
    image_column: str | None = option(
        "of tables: pictures or their paths (default: image, jpg, path, ...)", default=None
    )
    caption_column: str | None = option(
        "of tables (default: caption, text, txt, ...)", default=None
    )
    workers: int | None = option(
        "processes on a CPU, decoding threads on a GPU (default: one a core)",
        default=None, reader=positive,
    )  # fmt: skip
    device: str | None = option("cpu, cuda, cuda:1 (default: cuda if there is one)", default=None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_options(parser, EmbedOptions)


def run(args: argparse.Namespace) -> int:
    """Embed, and say what is where; returns the exit code.

    Raises:
        UserError: see ``vlsuite.embed``.
    """
    options = read_options(args, EmbedOptions)
    refuse_missing_data(options.data)
    refuse_missing_models(options.model)
    from eval.progress import Progress
    from vlsuite.api.embeddings import Embedding, EmbedRequest, embed_data

    request = EmbedRequest(
        paths=options.data,
        out=options.out,
        how=Embedding(
            kind=options.of,
            layout=options.layout,
            dtype=options.dtype,
            pixels=options.pixels,
            precision=options.precision,
            batch_size=options.batch_size,
        ),
        rows=options.rows_per_part,
        image_column=options.image_column,
        caption_column=options.caption_column,
        workers=options.workers,
        device=options.device,
    )
    found = embed_data(options.model, request, progress=Progress)
    skipped = dict(found.about["skipped"])
    tell(
        folder=options.out,
        rows=found.about["rows"],
        stored=len(found),
        skipped=skipped,
        embed_dim=found.embed_dim,
        kinds=found.kinds,
    )
    kinds = " and ".join(found.kinds)
    print(
        f"{counted(len(found), 'sample')} embedded ({kinds}, {found.embed_dim} numbers, "
        f"{options.dtype}) -> {options.out}"
    )
    for reason, count in skipped.items():
        print(f"  skipped {count:,}: {reason}")
    return 0
