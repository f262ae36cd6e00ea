"""One of pictures that look the same, by the perceptual hash that the scan stored.

Hashes of one value share one fate, that of the first of them. Two pictures are compared where they
were decoded on one path. See ``leaders`` for which one stays, ``hamming`` for how pairs are found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.curation.hamming import close_pairs
from data_pipelines.curation.leaders import Pairs, followers
from data_pipelines.errors import ConfigError

#: More differing bits say nothing.
MOST_BITS = 16

_HASHES = """SELECT row_number() OVER (ORDER BY id) - 1 AS place, phash, path, id, uid
    FROM (SELECT phash, phash_path::VARCHAR AS path, min(id) AS id, min_by(uid, id) AS uid
        FROM {0} WHERE phash IS NOT NULL GROUP BY 1, 2)"""

_FATES = """SELECT given.id, stays.id AS leader_id, stays.uid AS leader_uid,
        coalesce(followers.apart, 0) AS apart
    FROM {0} AS given JOIN hashes ON given.phash = hashes.phash AND phash_path = path
    LEFT JOIN followers USING (place)
    JOIN hashes AS stays ON stays.place = coalesce(followers.leader, hashes.place)"""

_FOLLOWERS = pa.schema([("place", pa.int64()), ("leader", pa.int64()), ("apart", pa.float64())])
_ROWS = 1 << 14


@filters.register("near-duplicates")
@dataclass(frozen=True, kw_only=True)
class NearDuplicates(SampleFilter):
    """Settings of deduplication by perceptual hash.

    Args:
        bits: of 64 that may differ, 0 to 16. At 4 resized and recoded copies are found. The hash
            sees neither colour nor small things: flags, arrows and playing cards that differ in
            these alone count as one, so look at what goes.
    """

    bits: int = 4

    def __post_init__(self) -> None:
        if not 0 <= self.bits <= MOST_BITS:
            raise ConfigError(
                f"filter 'near-duplicates': bits is {self.bits}, not 0 to {MOST_BITS}"
            )

    def needs(self) -> tuple[str, ...]:
        """The hash, and how the picture was decoded for it."""
        return ("phash", "phash_path")

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """All but the leaders, with the uid of their leader and the bits that differ."""
        warn_of_paths(samples)
        add_hashes(samples, "hashes", samples.relation)
        (number,) = samples.one("SELECT count(*) FROM hashes")
        pairs = close_pairs(
            "hashes",
            "hashes",
            most=self.bits,
            sizes=(number, number),
            also="a.place < b.place",
        )
        gone = _gone(samples, f"FROM ({pairs}) ORDER BY second, first", number)
        samples.add_relation("followers", pa.RecordBatchReader.from_batches(_FOLLOWERS, gone))
        samples.add_query(_FATES.format(samples.relation))
        return [
            Rule("no perceptual hash", "phash IS NULL"),
            Rule("looks the same", "id != leader_id", "apart", str(self.bits), "leader_uid"),
        ]


def add_hashes(samples: StageInput, name: str, relation: str) -> None:
    """A relation of the different hashes, by the order of the first samples that have them.

    Args:
        name: of the new relation: ``place``, ``phash``, ``path``, and ``id`` and ``uid`` of the
            first sample.
        relation: where they are taken from.
    """
    batches = samples.batches(_HASHES.format(relation))
    schema = pa.schema(
        [
            ("place", pa.int64()),
            ("phash", pa.uint64()),
            ("path", pa.string()),
            ("id", pa.int64()),
            ("uid", pa.string()),
        ]
    )
    cast = (pa.Table.from_batches([b]).cast(schema).combine_chunks() for b in batches)
    read = (batch for table in cast for batch in table.to_batches())
    samples.add_relation(name, pa.RecordBatchReader.from_batches(schema, read))


def warn_of_paths(samples: StageInput) -> None:
    """Say where pictures are not compared because they were decoded differently."""
    (paths,) = samples.one(
        f"SELECT list(DISTINCT phash_path::VARCHAR ORDER BY phash_path::VARCHAR) "
        f"FROM {samples.relation} WHERE phash IS NOT NULL"
    )
    if paths and len(paths) > 1:
        samples.warn(
            f"pictures were decoded in {len(paths)} ways for their hashes ({', '.join(paths)}) and "
            "are compared within each alone; 'vlsuite curate scan --phash full' makes one of them"
        )


def _gone(samples: StageInput, query: str, number: int) -> Iterator[pa.RecordBatch]:
    pairs = (
        Pairs(*(batch[name].to_numpy() for name in ("first", "second", "apart")))
        for batch in samples.batches(query)
    )
    rows: list[tuple[int, int, float]] = []
    for one in followers(pairs, np.ones(number, dtype=np.bool_)):
        rows.append(one)
        if len(rows) == _ROWS:
            yield _batch(rows)
            rows = []
    yield _batch(rows)


def _batch(rows: Sequence[tuple[int, int, float]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    arrays = [pa.array(c, type=f.type) for c, f in zip(columns, _FOLLOWERS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_FOLLOWERS)
