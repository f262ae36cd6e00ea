"""Samples that an evaluation set has too: the same picture, a like one, close vectors, a caption.

Everything is compared exactly (no cells): what is reported as clean was compared with every sample
of every set. The first kind that holds is the reason, and names the set and its sample.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from data_pipelines.curation.evaluation_sets import SET_COLUMNS, EvaluationSet, open_set
from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters, quoted
from data_pipelines.curation.filters.near_duplicates import MOST_BITS, add_hashes
from data_pipelines.curation.filters.semantic_duplicates import ids_of
from data_pipelines.curation.hamming import close_pairs
from data_pipelines.curation.set_vectors import nearest, vectors_digest, vectors_of_sets
from data_pipelines.curation.vector_cells import BLOCK, working
from data_pipelines.curation.vector_parts import VectorColumn
from data_pipelines.errors import ConfigError, DataError

_PLACED = pa.schema([pa.field("place", pa.int64()), *SET_COLUMNS])
_CLOSE = pa.schema([("id", pa.int64()), ("place", pa.int64()), ("cosine", pa.float64())])

_SAME = """SELECT given.id, 0 AS kind, 0.0 AS apart, min(place) AS place
    FROM {0} AS given JOIN evaluation USING (sha256) GROUP BY given.id"""

_LIKE = """SELECT given.id, 1, best.apart, evaluation_hashes.id FROM (
        SELECT second, min({{'apart': apart, 'first': first}}) AS best FROM ({1}) GROUP BY second)
    JOIN hashes ON hashes.place = second
    JOIN evaluation_hashes ON evaluation_hashes.place = best.first
    JOIN {0} AS given ON given.phash = hashes.phash AND given.phash_path = hashes.path"""

_CLOSEST = "SELECT id, 2, -cosine, place FROM close_vectors"

_CAPTION = """SELECT given.id, 3, 0.0, min(place)
    FROM {0} AS given JOIN evaluation ON lower(given.caption) = lower(evaluation.caption)
    WHERE caption_words >= {1} GROUP BY given.id"""

_FOUND = """SELECT id, best.kind AS kind, best.apart AS apart, -best.apart AS cosine,
        source || ': ' || name AS found
    FROM (SELECT id, min({{'kind': kind, 'apart': apart, 'place': place}}) AS best
        FROM ({0}) GROUP BY id) JOIN evaluation ON place = best.place"""


@filters.register("decontaminate")
@dataclass(frozen=True, kw_only=True)
class Decontaminate(SampleFilter):
    """Settings of decontamination.

    Args:
        against: evaluation sets: folders of a table of ``vlsuite curate scan``, of shards with one
            beside them, or of pictures.
        hashes: compare perceptual hashes too; otherwise only equal files count.
        bits: of the hashes that may differ.
        vectors: name of vectors beside the table and beside those of all sets, of one model; by
            default none are compared.
        threshold: cosine from which vectors are close.
        captions: drop samples whose first caption a set has too, whole and in any case.
        caption_words: captions with fewer words do not count.
    """

    against: tuple[str, ...]
    hashes: bool = True
    bits: int = 4
    vectors: str | None = None
    threshold: float = 0.95
    captions: bool = False
    caption_words: int = 5

    def __post_init__(self) -> None:
        if not self.against:
            raise ConfigError("filter 'decontaminate' wants one evaluation set or more in against")
        if not 0 <= self.bits <= MOST_BITS:
            raise ConfigError(f"filter 'decontaminate': bits is {self.bits}, not 0 to {MOST_BITS}")
        if not 0 < self.threshold <= 1:
            raise ConfigError(
                f"filter 'decontaminate': threshold {self.threshold} is not in (0, 1]"
            )

    def needs(self) -> tuple[str, ...]:
        """What is compared."""
        return (
            "sha256",
            *(("phash", "phash_path") * self.hashes),
            *(("caption", "caption_words") * self.captions),
        )

    def reads_vectors(self) -> tuple[str, ...]:
        """The vectors, where they are compared."""
        return (self.vectors,) if self.vectors else ()

    def digests(self) -> dict[str, str]:
        """Of the evaluation sets and their vectors."""
        found = {}
        for one in self._sets:
            found[one.name] = one.digest
            if self.vectors:
                found[f"{one.name} {self.vectors}"] = vectors_digest(one, self.vectors)
        return found

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """Same picture, like picture, close vectors, same caption; what lacks a hash or vector."""
        batches = pa.RecordBatchReader.from_batches(_PLACED, _placed(self._sets))
        samples.add_relation("evaluation", batches)
        hits = [_SAME.format(samples.relation)]
        missing = "false"
        if self.hashes:
            hits.append(self._like(samples))
        if self.vectors:
            ids = ids_of(samples)
            missing = self._add_close(samples, samples.vectors(self.vectors), ids)
            hits.append(_CLOSEST)
        if self.captions:
            hits.append(_CAPTION.format(samples.relation, self.caption_words))
        samples.add_query(_FOUND.format(" UNION ALL ".join(hits)))
        return self._rules(missing)

    def _rules(self, missing: str) -> list[Rule]:
        bits, threshold = str(self.bits), repr(self.threshold)
        found = [
            Rule("picture of an evaluation set", _is(0), detail="found"),
            Rule("like a picture of an evaluation set", _is(1), "apart", bits, "found"),
            Rule("close to an evaluation set", _is(2), "cosine", threshold, "found"),
            Rule("caption of an evaluation set", _is(3), detail="found"),
        ]
        if self.hashes:
            found.append(Rule("no perceptual hash", "phash IS NULL"))
        return [*found, Rule("no vector", missing)] if self.vectors else found

    @cached_property
    def _sets(self) -> tuple[EvaluationSet, ...]:
        found = tuple(open_set(Path(path)) for path in self.against)
        names = [one.name for one in found]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"filter 'decontaminate': two evaluation sets are called '{name}'; rename the "
                    "folder of one, since reasons name it"
                )
        return found

    def _like(self, samples: StageInput) -> str:
        add_hashes(samples, "hashes", samples.relation)
        chosen = "(SELECT place AS id, name AS uid, phash, path AS phash_path FROM evaluation)"
        add_hashes(samples, "evaluation_hashes", chosen)
        self._refuse_other_paths(samples)
        (own,) = samples.one("SELECT count(*) FROM hashes")
        (others,) = samples.one("SELECT count(*) FROM evaluation_hashes")
        pairs = close_pairs(
            "evaluation_hashes", "hashes", most=self.bits, sizes=(others, own), also="true"
        )
        return _LIKE.format(samples.relation, pairs)

    def _refuse_other_paths(self, samples: StageInput) -> None:
        """Each set must have hashes of every decode path that the samples have."""
        for one in self._sets:
            (missing,) = samples.one(
                "SELECT list(path ORDER BY path) FROM (SELECT DISTINCT path FROM hashes EXCEPT "
                f"SELECT DISTINCT path FROM evaluation WHERE source = {quoted(one.name)})"
            )
            (has_any,) = samples.one(
                "SELECT count(*) FROM evaluation WHERE path IS NOT NULL "
                f"AND source = {quoted(one.name)}"
            )
            if missing and not has_any:
                raise DataError(
                    f"the evaluation set '{one.name}' has no perceptual hashes; scan it again with "
                    "--phash as the samples were, or set hashes = false"
                )
            if missing:
                samples.warn(
                    f"no picture of '{one.name}' was decoded as {', '.join(missing)} for its hash, "
                    "so that samples of that path were compared with none of it; 'vlsuite curate "
                    "scan --phash full' of both compares all"
                )

    def _add_close(
        self, samples: StageInput, column: VectorColumn, ids: Int64[np.ndarray, " ids"]
    ) -> str:
        """Adds what is close; returns the expression for samples without a vector."""
        places, vectors = vectors_of_sets(self._sets, column)
        has_vector = column.has(ids)
        without = pa.table({"without": pa.array(ids[~has_vector])})
        samples.add_relation("without_vectors", without.to_reader())
        chosen = ids[has_vector]
        blocks = [chosen[i : i + BLOCK] for i in range(0, len(chosen), BLOCK)]

        def one(own: np.ndarray) -> pa.RecordBatch:
            cosines, closest = nearest(column.at(own), vectors)
            is_close = cosines >= self.threshold
            columns = (own[is_close], places[closest[is_close]], cosines[is_close].astype(float))
            return pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=_CLOSE)

        with working(samples.threads) as workers:
            batches = workers.map(one, blocks)
            samples.add_relation(
                "close_vectors", pa.RecordBatchReader.from_batches(_CLOSE, batches)
            )
        return "id IN (SELECT without FROM without_vectors)"


def _is(kind: int) -> str:
    return f"coalesce(kind = {kind}, false)"


def _placed(sets: Sequence[EvaluationSet]) -> Iterator[pa.RecordBatch]:
    """Samples of all sets, numbered."""
    start = 0
    for one in sets:
        for batch in one.batches():
            places = np.arange(start, start + batch.num_rows, dtype=np.int64)
            start += batch.num_rows
            yield pa.RecordBatch.from_arrays([pa.array(places), *batch.columns], schema=_PLACED)
