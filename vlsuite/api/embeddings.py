"""Embeddings of whole data sets, stored, and searched."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.embeddings.folder import Embeddings, open_embeddings
from data_pipelines.embeddings.item import KINDS
from data_pipelines.embeddings.layouts import LAYOUTS
from data_pipelines.embeddings.opening import Reading, open_parts
from data_pipelines.embeddings.writing import EmbeddingsWriter, writing_alone
from eval.capabilities import EMBEDS, lack_of
from eval.contract import EmbeddingModel
from eval.progress import Progress
from vlsuite.api.models import load_model
from vlsuite.api.several import name as one_name
from vlsuite.api.several import names as several_names
from vlsuite.batches.close_view import PIXELS
from vlsuite.errors import ConfigError
from vlsuite.models.embed_parts import embed_parts
from vlsuite.models.embedding import DTYPES, PRECISIONS, Embedding

__all__ = ["EmbedRequest", "Embedding", "embed", "embed_data", "open_embeddings", "opened_model"]

Place = str | os.PathLike
MakeProgress = Callable[..., Progress]


@dataclass(frozen=True, kw_only=True)
class EmbedRequest:
    """What is embedded, how, and where to.

    Attributes:
        paths: shards, folders, pictures, lists and tables.
        how: form of the vectors.
        rows: most items of a part: what a kill can lose in each process; None: 256 to 8,192, by the
            size of the data.
        image_column, caption_column: of tables.
        workers: processes on a CPU, decoding threads on a GPU; None: as many as there are cores.
        device: of a model given by name; None takes a GPU where there is one.
    """

    paths: tuple[str, ...]
    out: Path
    how: Embedding = Embedding()
    rows: int | None = None
    image_column: str | None = None
    caption_column: str | None = None
    workers: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        _one_of("kind", self.how.kind, KINDS)
        _one_of("layout", self.how.layout, LAYOUTS)
        _one_of("dtype", self.how.dtype, DTYPES)
        _one_of("pixels", self.how.pixels, PIXELS)
        _one_of("precision", self.how.precision, PRECISIONS)
        sizes = (self.rows, self.how.batch_size, self.workers)
        if any(size is not None and size < 1 for size in sizes):
            raise ConfigError("rows, batch_size and workers: give at least 1")
        if self.out.exists() and not self.out.is_dir():
            raise ConfigError(f"--out {self.out} is a file; give a folder")


def embed(
    model: Any,
    data: Place | Iterable[Place],
    *,
    out: Place,
    kind: str = "images",
    layout: str = "npy",
    dtype: str = "fp16",
    pixels: str = "close",
    batch_size: int | None = None,
    workers: int | None = None,
    device: str | None = None,
) -> Embeddings:
    """Embed pictures, texts or both, and store them with their uids, paths and captions.

    What was stopped goes on where it was; one process and several write the same bytes.

    Args:
        model: name, or an object that embeds (see ``eval.contract.EmbeddingModel``).
        data: shards, a folder of pictures, a list (.txt) or table (.csv, .tsv, .parquet) of them.
        out: folder of the embeddings.
        kind: "images", "texts" or "both".
        layout: "npy", "parquet" or "clip-retrieval".
        dtype: "fp16" or "fp32".
        pixels: "close" (within 2 levels of 255, faster) or "exact" (as evaluations show pictures).
        batch_size: items of a forward pass; None: 32 on a CPU, 256 on a GPU.
        workers: processes on a CPU, decoding threads on a GPU; None: as many as there are cores.
        device: of a model given by name; None takes a GPU where there is one.
    Returns:
        The finished folder.
    Raises:
        DataError: nothing to embed, or a folder that cannot be written.
        ConfigError: an unknown choice, a model that embeds nothing, other embeddings in ``out``.

    Example::

        found = vlsuite.embed("runs/first", "photos", out="embeddings")
        print(found.rows()["path"][0], found.array("images")[0])
    """
    request = EmbedRequest(
        paths=several_names(data, "data"),
        out=Path(one_name(out, "out")),
        how=Embedding(kind=kind, layout=layout, dtype=dtype, pixels=pixels, batch_size=batch_size),
        workers=workers,
        device=device,
    )
    return embed_data(model, request)


def embed_data(
    model: Any, request: EmbedRequest, *, progress: MakeProgress | None = None
) -> Embeddings:
    """See :func:`embed`.

    Args:
        progress: makes a line of progress; None shows none.
    """
    reading = Reading(
        kind=request.how.kind,
        rows=request.rows,
        image_column=request.image_column,
        caption_column=request.caption_column,
    )
    parts = open_parts(request.paths, reading)
    embedder, name = opened_model(model, request.device)
    how = request.how.on(embedder.device)
    settings = how.identity(embedder)
    writer = EmbeddingsWriter(folder=request.out, settings=settings, count=len(parts))
    writer.refuse_others()
    line = None
    if progress is not None:
        total = sum(part.num_rows for part in parts)
        line = progress(f"embedding {request.how.kind}", total=total, unit="samples")
    with writing_alone(request.out):
        done = embed_parts(
            embedder,
            parts,
            writer,
            how,
            workers=request.workers or len(os.sched_getaffinity(0)),
            progress=None if line is None else line.add,
        )
        if line is not None:
            line.close()
        writer.finish(parts, done.parts, name)
    return open_embeddings(request.out)


def opened_model(model: Any, device: str | None) -> tuple[EmbeddingModel, str]:
    """A model that embeds, and the name that it can be opened by again.

    Raises:
        ConfigError: it embeds nothing, or a device is given for an object.
        UserError: see ``load_model``.
    """
    if isinstance(model, str | os.PathLike):
        name = one_name(model, "model")
        found = load_model(name, device=device)
        name = os.path.abspath(name) if os.path.isdir(name) else name
    elif device:
        raise ConfigError("device belongs to a model given by name, not to an object")
    else:
        found, name = model, getattr(model, "name", "")
    if not hasattr(found, "name"):
        raise ConfigError(f"{type(found).__name__} is no model; see eval.contract.EmbeddingModel")
    if (lack := lack_of(found, [EMBEDS])) is not None:
        raise ConfigError(f"{lack}; give a dual encoder: a run, an export, ARCHITECTURE:WEIGHTS")
    return found, name


def _one_of(what: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise ConfigError(f"{what}='{value}' is unknown; give one of {', '.join(known)}")
