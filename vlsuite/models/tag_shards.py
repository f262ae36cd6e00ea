"""Concepts of all pictures of some shards, for ``data.concepts``."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from data_pipelines.embeddings.item import Item
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, image_of, uid_of
from data_pipelines.subsets.subset import ShardIdentity
from vlsuite.batches.concepts import frequent_words, write_concepts
from vlsuite.batches.subsets import chosen_of
from vlsuite.errors import DataError
from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.embedding import Embedding, embedded_batches
from vlsuite.models.tagging import TEMPLATE, ZeroShotTagger, calibrated

#: Pictures that thresholds are set from, evenly spread over the shards.
_CALIBRATED_ON = 20_000
_ROWS_PER_PASS = 4096

Progress = Callable[[Iterable[Any]], Iterable[Any]]
_Samples = Iterator[tuple[str, dict[str, bytes]]]


class Tagged(NamedTuple):
    """What was done.

    Attributes:
        num_concepts: on the list.
        num_pictures: with a line in the file.
        num_without: of them without any concept.
        num_skipped: that could not be read.
    """

    num_concepts: int
    num_pictures: int
    num_without: int
    num_skipped: int


def tag_shards(
    clip: Clip,
    paths: Sequence[str],
    out: Path,
    *,
    shares: Mapping[str, float],
    top: int,
    batch_size: int,
    subset: Path | None = None,
    progress: Progress = iter,
) -> Tagged:
    """Name what is in every picture and write the file.

    Every embedding is kept in memory, 4 bytes a number (2 GB for a million of 512).

    Args:
        clip: embeds pictures and concepts.
        shares, top: see ``calibrated``.
        batch_size: pictures of a forward pass.
        subset: file of 'vlsuite curate subset'; pictures outside it get no line.
        progress: shows how many pictures are done.
    Raises:
        DataError: no shards, the subset was made for others, or the file cannot be written.
        ConfigError: see ``calibrated``.
    """
    uids, parts, num_skipped = [], [], 0
    how = Embedding(pixels="exact", batch_size=batch_size)
    for batch in embedded_batches(clip, _items(_members(paths, subset), progress), how):
        uids += [item.uid for item in batch.items]
        num_skipped += len(batch.skips)
        parts += map(torch.from_numpy, batch.vectors.values())
    embeds = torch.cat(parts) if parts else torch.zeros(0, clip.embed_dim)
    every = max(1, -(-len(embeds) // _CALIBRATED_ON))
    settings = calibrated(clip, shares, embeds[::every], top=top, template=TEMPLATE)
    tags = list(_tags(ZeroShotTagger(clip, settings), embeds))
    count = write_concepts(out, settings, zip(uids, tags, strict=True))
    return Tagged(len(shares), count, sum(not own for own in tags), num_skipped)


def words_of_shards(
    paths: Sequence[str], *, min_count: int, subset: Path | None = None
) -> dict[str, float]:
    """See ``frequent_words``; samples whose captions cannot be read are left out.

    Args:
        subset: as ``tag_shards``.
    """
    return frequent_words(_captions(_members(paths, subset)), min_count=min_count)


def _items(samples: _Samples, progress: Progress) -> Iterator[Item]:
    for row, (name, members) in enumerate(progress(samples)):
        try:
            yield Item(row, uid_of(name, members), name, None, image_of(members).data)
        except DataError as error:
            yield Item(row, "", name, None, None, str(error))


def _tags(
    tagger: ZeroShotTagger, embeds: Float[Tensor, "pictures embed_dim"]
) -> Iterator[tuple[str, ...]]:
    for rows in embeds.split(_ROWS_PER_PASS):
        yield from tagger.of_embeds(rows)


def _captions(samples: _Samples) -> Iterator[str]:
    for _, members in samples:
        try:
            yield from captions_of(members, one_per_line=False)
        except DataError:
            continue


def _members(paths: Sequence[str], subset: Path | None) -> _Samples:
    """Name and members of each sample, of a subset's each once."""
    shards = find_shards(paths)
    chosen = chosen_of([str(subset)] if subset else [], [[ShardIdentity.of(s) for s in shards]])
    for path, part in zip(shards, chosen, strict=True):
        index = ShardIndex.open(path)
        for row in range(len(index)) if part is None else part.rows.tolist():
            yield index.name(row), index.read(row)
