"""Items in batches as a model is shown them, pictures decoded; the others with their reasons."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from torch import Tensor

from data_pipelines.embeddings.item import Item
from data_pipelines.embeddings.writing import Skip
from vlsuite.batches.close_view import View
from vlsuite.errors import BadSampleError

_BATCHES_AHEAD = 2


class Batch(NamedTuple):
    """Items that can be shown to a model, what it is shown of them, and the others met so far.

    Attributes:
        pixels: of each item; empty where no pictures are wanted.
    """

    items: list[Item]
    pixels: list[Tensor]
    skips: list[Skip]


def batches(items: Iterable[Item], view: View, *, size: int, threads: int = 0) -> Iterator[Batch]:
    """Full batches of what can be shown; the last one is shorter.

    Args:
        view: of an encoded picture.
        threads: that decode ahead; 0 decodes in between.
    """
    batch = Batch([], [], [])
    for item, pixels, problem in _seen(items, view, size, threads):
        if problem:
            batch.skips.append(Skip(item._replace(picture=None), problem))
            continue
        batch.items.append(item)
        if pixels is not None:
            batch.pixels.append(pixels)
        if len(batch.items) == size:
            yield batch
            batch = Batch([], [], [])
    if batch.items or batch.skips:
        yield batch


_Seen = tuple[Item, Tensor | None, str]


def _seen(items: Iterable[Item], view: View, size: int, threads: int) -> Iterator[_Seen]:
    """Each item with its pixels, or with why it has none, in order."""

    def look(item: Item) -> _Seen:
        if item.problem or item.picture is None:
            return item, None, item.problem
        try:
            return item, view(item.picture), ""
        except BadSampleError as error:
            return item, None, error.kind

    if not threads:
        yield from map(look, items)
        return
    waiting = iter(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        jobs: deque[Future[_Seen]] = deque()
        jobs.extend(pool.submit(look, item) for item in islice(waiting, _BATCHES_AHEAD * size))
        while jobs:
            seen = jobs.popleft().result()
            jobs.extend(pool.submit(look, item) for item in islice(waiting, 1))
            yield seen
