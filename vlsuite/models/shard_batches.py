"""Samples of shards for a model that looks at all of them once, in the order of rows.

What cannot be decoded, and where a caption is needed what has none, is in no batch: the rows of a
batch say which samples it holds.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

from data_pipelines.curation.table import TablePart
from data_pipelines.embeddings.item import Item, Wanted
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.shard_set import Shard, address_of
from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.decode import decode_image
from vlsuite.errors import BadSampleError, DataError
from vlsuite.models.item_batches import batches


class SampleBatch(NamedTuple):
    """Samples of one shard; ``pixels`` or ``texts`` are empty where they were not asked for.

    Attributes:
        rows: places of the samples in their shard.
        pixels: of each picture, as the model's transform gives them.
        texts: the first caption of each as training reads it.
    """

    rows: list[int]
    pixels: list[Tensor]
    texts: list[str]


def sample_batches(
    index: ShardIndex, size: int, *, transform: Callable[..., Tensor] | None, with_text: bool
) -> Iterator[SampleBatch]:
    """The readable samples of a shard.

    Args:
        index: of the shard.
        size: samples of a batch; the last may have fewer.
        transform: decoded picture to pixels; None: pictures are not decoded.
        with_text: read captions.
    """

    def view(data: bytes) -> Tensor:
        assert transform is not None
        return transform(decode_image(data))

    wanted = Wanted(pictures=transform is not None, captions=with_text)
    for batch in batches(shard_items(index, wanted), view, size=size):
        if batch.items:
            rows = [item.row for item in batch.items]
            texts = [item.caption for item in batch.items if item.caption is not None]
            yield SampleBatch(rows, batch.pixels, texts)


def shard_items(index: ShardIndex, wanted: Wanted) -> Iterator[Item]:
    """All samples of a shard by their rows; nothing is read of them but what is wanted."""
    for row, (key, members) in enumerate(index):
        sample = StoredSample(key, members, name=index.name(row))
        picture, caption, problem = None, None, ""
        try:
            caption = sample.captions.texts[0] if wanted.captions else None
            picture = sample.image.data if wanted.pictures else None
        except BadSampleError as error:
            problem = error.kind
        except DataError as error:
            problem = str(error)
        yield Item(row, "", key, caption, picture, problem)


def opened_shard(shard: Shard, part: TablePart) -> ShardIndex:
    """The index of a shard that is still what its part of the table was made from.

    Raises:
        DataError: it is another, or cannot be read or fetched.
    """
    index = ShardIndex.open(shard)
    if (index.layout.content or index.layout.mark) != part.content or len(index) != part.rows:
        raise DataError(
            f"{address_of(shard)} is not what its table was made from; scan the shards again"
        )
    return index
