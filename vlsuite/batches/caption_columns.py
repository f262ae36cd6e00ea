"""Which of several columns of captions a sample is shown with, drawn by weights.

A pure function of the seed and the place in the training sequence, apart from the draws of the
readers. Weights hold for each sample among the columns that it has.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from data_pipelines.captions.column_file import CaptionColumn
from data_pipelines.schema import Captions
from data_pipelines.shards.order import hashed
from data_pipelines.shards.stored_sample import MAX_CAPTIONS, StoredSample
from data_pipelines.shards.text import clean_caption
from data_pipelines.subsets.subset import ShardIdentity
from vlsuite.batches.caption_names import JSON, OWN
from vlsuite.batches.data_config import DataConfig
from vlsuite.errors import DataError

#: Counted where a sample has none of the columns that are to be drawn, so that its own stands in.
ONLY_OWN = "no caption but its own"

_COLUMN = 5  # what the hash is for; see ``sequence``
_WORD = float(1 << 64)


class ColumnFacts(NamedTuple):
    """What a column is, for fingerprints and logs.

    Attributes:
        name: short.
        identity: digest of its texts, or what says where they are.
        num_texts: of the training samples that have one; None where that is not known.
    """

    name: str
    identity: str
    num_texts: int | None


@runtime_checkable
class _Column(Protocol):
    """A column of captions."""

    @property
    def facts(self) -> ColumnFacts:
        """What it is."""
        ...

    def of(self, sample: StoredSample, shard: int, row: int) -> tuple[str, ...]:
        """Captions of a sample, which stands in a row of a shard; empty where it has none."""
        ...


class CaptionColumns:
    """The columns of a run. May be pickled.

    Args:
        config: with columns.
        shards: of all sources, in their order.
    Raises:
        DataError: a column cannot be read, or is of none of the shards, or of other content.
    """

    def __init__(self, config: DataConfig, shards: Sequence[ShardIdentity]) -> None:
        self._columns = [_opened(name, shards) for name in config.captions]
        self.weights = config.caption_weights or (1.0,) * len(self._columns)

    @property
    def facts(self) -> list[ColumnFacts]:
        """Of each column."""
        return [ColumnFacts(OWN, OWN, None) if c is None else c.facts for c in self._columns]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, each another."""
        return _different([facts.name for facts in self.facts])

    @property
    def rule(self) -> list[list[str | float]]:
        """What decides which caption a place is shown with."""
        pairs = zip(self.facts, self.weights, strict=True)
        return [[facts.identity, float(weight)] for facts, weight in pairs]

    def choose(
        self, sample: StoredSample, *, shard: int, row: int, seed: int, position: int
    ) -> None:
        """Let the sample say what the column of this place has for it.

        Captions of column c have the numbers from c * ``MAX_CAPTIONS``; those that the sample came
        with keep theirs.
        """
        texts = [None if c is None else c.of(sample, shard, row) for c in self._columns]
        weights = [
            0.0 if texts_of is not None and not texts_of else weight
            for texts_of, weight in zip(texts, self.weights, strict=True)
        ]
        ends = list(accumulate(weights))
        if not ends[-1] > 0:
            own = sample.captions
            sample.say(Captions(own.texts, (*own.mended, ONLY_OWN)))
            return
        drawn = hashed(seed, position, _COLUMN) / _WORD * ends[-1]
        number = min(bisect_right(ends, drawn), _last(weights))
        chosen = texts[number]
        if chosen is not None:
            sample.say(Captions(chosen, ()), first=MAX_CAPTIONS * (1 + self._places[number]))

    @property
    def _places(self) -> dict[int, int]:
        """Place of each other column among these."""
        others = [n for n, column in enumerate(self._columns) if column is not None]
        return {number: place for place, number in enumerate(others)}


def column_of(caption_number: int, *, names: Sequence[str]) -> str:
    """Name of the column that a caption of this number is of.

    Args:
        names: of the columns, in the order of data.captions.
    """
    place = caption_number // MAX_CAPTIONS
    return OWN if not place else [name for name in names if name != OWN][place - 1]


class _FileColumn:
    """Of a file, matched to the shards."""

    def __init__(self, path: str, shards: Sequence[ShardIdentity]) -> None:
        self._column = CaptionColumn(Path(path))
        self._numbers = _matched(self._column, shards, name=path)

    @property
    def facts(self) -> ColumnFacts:
        column = self._column
        num_texts = sum(column.shards[number].texts for number in self._numbers.values())
        return ColumnFacts(column.name, column.digest, num_texts)

    def of(self, sample: StoredSample, shard: int, row: int) -> tuple[str, ...]:
        number = self._numbers.get(shard)
        text = None if number is None else self._column.text(number, row)
        return () if text is None else (text,)


class _JsonColumn:
    """A text, or a list of texts, in each sample's json."""

    def __init__(self, field: str) -> None:
        self._field = field

    @property
    def facts(self) -> ColumnFacts:
        return ColumnFacts(self._field, f"{JSON}{self._field}", None)

    def of(self, sample: StoredSample, shard: int, row: int) -> tuple[str, ...]:
        found = sample.fields.get(self._field)
        given = found if isinstance(found, list) else [found]
        texts = [one for one in given[:MAX_CAPTIONS] if isinstance(one, str)]
        return tuple(cleaned for text in texts if (cleaned := clean_caption(text).text))


def _opened(name: str, shards: Sequence[ShardIdentity]) -> _Column | None:
    """None is what the samples came with."""
    if name == OWN:
        return None
    if name.startswith(JSON):
        return _JsonColumn(name.removeprefix(JSON))
    return _FileColumn(name, shards)


def _matched(
    column: CaptionColumn, shards: Sequence[ShardIdentity], *, name: str
) -> dict[int, int]:
    """Number of a shard in the column, by its number among the training shards."""
    numbers = {(one.name, one.rows, one.content): n for n, one in enumerate(column.shards)}
    found: dict[int, int] = {}
    for place, shard in enumerate(shards):
        for content in (shard.content, shard.mark):
            number = numbers.get((shard.name, shard.num_samples, content))
            if content and number is not None:
                found[place] = number
    lost = [one for n, one in enumerate(column.shards) if n not in set(found.values())]
    known = {shard.name for shard in shards}
    changed = [one.name for one in lost if one.name in known]
    if not found or changed:
        what = f"other content of {changed[0]}" if changed else f"other shards ({lost[0].name}...)"
        raise DataError(
            f"captions {name} were made for {what}; give the shards they were made for, or scan "
            "these and make the captions again with 'vlsuite curate rewrite'"
        )
    return found


def _last(weights: Sequence[float]) -> int:
    """The last column that may be drawn, for sums that rounding has left a little short."""
    return max(number for number, weight in enumerate(weights) if weight > 0)


def _different(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(
        f"{name}-{names[: place + 1].count(name)}" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    )
