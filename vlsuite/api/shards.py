"""Shards as a sequence of samples."""

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import overload

import numpy as np
from PIL import Image

from data_pipelines.schema import JsonValue
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.shard_cache import ShardCache
from data_pipelines.shards.shard_set import Shard, ShardSet, find, summaries_of
from data_pipelines.shards.sidecar import cache_folder
from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.api.several import names
from vlsuite.batches.decode import decode_image
from vlsuite.errors import ShardError

_OPEN_SAMPLES = 1_000_000  # whose places stay in memory, about 110 bytes each
_CACHE_BYTES = 50 * 10**9  # of copies of remote shards, as in training
_MARK_OF_SPLIT = "nshards.txt"


class ShardSample:
    """One sample; what it holds is read when it is asked for, and may raise ``DataError``.

    Attributes:
        stored: the sample with all its roles: clips, frames, sound, boxes, masks, questions.
        shard: file name of its tar.
    """

    def __init__(self, stored: StoredSample, *, shard: str, one_per_line: bool) -> None:
        self.stored = stored
        self.shard = shard
        self._one_per_line = one_per_line

    def __repr__(self) -> str:
        return f"ShardSample({self.key!r} in {self.shard}: {', '.join(self.stored.members)})"

    @property
    def key(self) -> str:
        """Its name in the shard."""
        return self.stored.key

    @property
    def uid(self) -> str:
        """Its permanent id; where it has none, its shard (name and content) and its key."""
        return self.stored.uid

    @property
    def image(self) -> Image.Image:
        """The picture, upright and in RGB, as models are shown it; decoded at each call.

        Raises:
            BadSampleError: there is none, or it is broken.
        """
        return decode_image(self.image_bytes)

    @property
    def image_bytes(self) -> bytes:
        """The picture as stored.

        Raises:
            BadSampleError: there is none.
        """
        return self.stored.image.data

    @property
    def captions(self) -> tuple[str, ...]:
        """All captions, best first; empty without any.

        Raises:
            DataError: they are not UTF-8, or the json is broken.
        """
        return self.stored.plain_captions(one_per_line=self._one_per_line)

    @property
    def label(self) -> int | None:
        """Class index, None where the sample has none.

        Raises:
            DataError: it is no number.
        """
        return self.stored.label

    @property
    def json(self) -> dict[str, JsonValue]:
        """What else is known of it; empty where nothing is.

        Raises:
            DataError: it does not parse.
        """
        return self.stored.fields

    @property
    def members(self) -> dict[str, bytes]:
        """Everything that is stored of it, by suffix."""
        return dict(self.stored.members)


class Shards(Sequence[ShardSample]):
    """Samples of shards in their order; sized, indexed and sliced like a list, read on demand.

    May be pickled, and given to ``torch.utils.data.DataLoader``.

    Args:
        shards: tars, local or with their cache.
    """

    def __init__(self, shards: Sequence[Shard]) -> None:
        summaries = summaries_of(shards)
        self.problems = tuple(line for summary in summaries for line in summary.problems)
        self._set = ShardSet(shards, summaries, layout_samples=_OPEN_SAMPLES)
        self._ends = np.cumsum(self._set.lengths)
        self._one_per_line = [_is_for_evaluation(shard) for shard in shards]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __repr__(self) -> str:
        return f"Shards({len(self):,} samples in {len(self._set):,} shards)"

    @overload
    def __getitem__(self, number: int) -> ShardSample: ...
    @overload
    def __getitem__(self, number: slice) -> list[ShardSample]: ...
    def __getitem__(self, number: int | slice) -> ShardSample | list[ShardSample]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        place = number + len(self) if number < 0 else number
        if not 0 <= place < len(self):
            raise IndexError(f"sample {number} of {len(self)}")
        shard = int(np.searchsorted(self._ends, place, side="right"))
        index = self._set[shard]
        row = place - int(self._ends[shard]) + self._set.lengths[shard]
        return self._sample(shard, index, row, index.read(row))

    def __iter__(self) -> Iterator[ShardSample]:
        for shard in range(len(self._set)):
            index = self._set[shard]
            for row, (_, members) in enumerate(index):
                yield self._sample(shard, index, row, members)

    def _sample(
        self, shard: int, index: ShardIndex, row: int, members: dict[str, bytes]
    ) -> ShardSample:
        key, name = index.key(row), index.name(row)
        return ShardSample(
            StoredSample(key, members, name=name),
            shard=self._set.name(shard),
            one_per_line=self._one_per_line[shard],
        )


def open_shards(paths: str | PathLike | Iterable[str | PathLike]) -> Shards:
    """Look into shards: of ``build_shards``, or anybody's WebDataset tars.

    Args:
        paths: a tar; a folder, for all tars in it; a pattern such as "train-{000..099}.tar" or
            "train-*.tar"; the same on remote storage ("s3://..."); or several of these.
    Returns:
        A sequence of samples. What the walk over damaged tars had to leave out is in
        ``problems``, one line each.
    Raises:
        ShardError: nothing there, not completely built, or no tar.

    Example::

        shards = vlsuite.open_shards("data/emoji/train")
        print(len(shards), shards[0].captions)
        for sample in shards:
            sample.image.thumbnail((64, 64))
    """
    cache = ShardCache(folder=cache_folder() / "shards", max_bytes=_CACHE_BYTES)
    found = dict.fromkeys(shard for path in names(paths, "paths") for shard in find(path, cache))
    if not found:
        raise ShardError("no shards: name a tar, a folder of tars or a pattern")
    return Shards(list(found))


def _is_for_evaluation(shard: Shard) -> bool:
    """Whether a line break divides captions, as in the layout of CLIP_benchmark."""
    return isinstance(shard, Path) and (shard.parent / _MARK_OF_SPLIT).is_file()
