"""Samples to look at: kept ones, those that each rule dropped, and clusters of duplicates."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from data_pipelines.curation.filter import quoted
from data_pipelines.errors import DataError
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_sample import StoredSample
from eval.curation.finding import FoundRun
from eval.curation.work import Work
from eval.report.thumbnails import thumbnail

_KEPT, _DROPPED, _CLOSE = 12, 4, 4
_CLUSTERS, _COPIES = 6, 5
_CAPTION = 160  # characters

_COLUMNS = "uid, shard, row, caption, value, threshold, detail"


class Shown(NamedTuple):
    """A sample on the page; ``image`` is None where it has none, or none is found."""

    uid: str
    image: str | None
    caption: str
    note: str


class Gallery(NamedTuple):
    """Samples of one fate."""

    title: str
    note: str
    samples: tuple[Shown, ...]


class Cluster(NamedTuple):
    """A sample that stayed and some of those dropped as its copies, of ``size`` in all."""

    stage: str
    size: int
    leader: Shown
    copies: tuple[Shown, ...]


class Clusters(NamedTuple):
    """Duplicates of a stage: how many clusters, how many samples went, the largest ones."""

    stage: str
    reason: str
    number: int
    dropped: int
    sizes: tuple[tuple[str, int], ...]
    largest: tuple[Cluster, ...]


class Pictures:
    """Samples of the shards of a run, drawn small."""

    def __init__(self, run: FoundRun) -> None:
        self._run = run
        self._open: dict[str, ShardIndex | None] = {}

    def shown(self, sample: Sequence) -> Shown:
        """A row of ``_COLUMNS``."""
        uid, shard, row, caption, value, threshold, detail = sample
        image, text = self._looked_at(shard, row)
        caption = (caption if caption is not None else text) or ""
        cut = caption if len(caption) <= _CAPTION else f"{caption[:_CAPTION]}..."
        return Shown(uid, image, cut, _note(value, threshold, detail))

    def _looked_at(self, shard: str, row: int) -> tuple[str | None, str]:
        if shard not in self._open:
            self._open[shard] = self._run.opened(shard)
        index = self._open[shard]
        if index is None:
            return None, ""
        try:
            sample = StoredSample(index.key(row), index.read(row), name=index.name(row))
        except DataError:
            return None, ""
        return _image(sample), _caption(sample)


def _image(sample: StoredSample) -> str | None:
    try:
        return thumbnail(sample.image.data)
    except DataError:
        return None


def _caption(sample: StoredSample) -> str:
    try:
        return sample.captions.texts[0]
    except DataError:
        return ""


def galleries(work: Work, pictures: Pictures) -> Iterator[Gallery]:
    """Kept samples, then dropped ones by stage and reason, in the order of the stages."""
    kept = _drawn(work, "stage IS NULL", _KEPT)
    if kept:
        yield Gallery("Kept", "Drawn at random.", tuple(map(pictures.shown, kept)))
    for number, stage in enumerate(work.stages):
        for reason, count in sorted(stage.reasons.items(), key=lambda one: (-one[1], one[0])):
            where = f"stage = {number} AND reason = {quoted(reason)}"
            drawn = _drawn(work, where, _DROPPED)
            close = _closest(work, where, {row[0] for row in drawn})
            note = f"{count:,} samples; {len(drawn)} drawn at random"
            note += f", then the {len(close)} nearest to the threshold." if close else "."
            shown = tuple(map(pictures.shown, [*drawn, *close]))
            yield Gallery(f"{stage.stage}: {reason}", note, shown)


def _drawn(work: Work, where: str, number: int) -> list[tuple]:
    """The same ones each time: those whose uid has the lowest hash."""
    return work.rows(
        f"SELECT {_COLUMNS} FROM samples WHERE {where} ORDER BY md5(uid), uid LIMIT {number}"
    )


def _closest(work: Work, where: str, without: set[str]) -> list[tuple]:
    rows = work.rows(
        f"""SELECT {_COLUMNS} FROM samples WHERE {where} AND isfinite(value - threshold)
            ORDER BY abs(value - threshold), md5(uid) LIMIT {_CLOSE + _DROPPED}"""
    )
    return [row for row in rows if row[0] not in without][:_CLOSE]


def clusters(work: Work, pictures: Pictures) -> Iterator[Clusters]:
    """For each stage and reason whose detail is the uid of another sample, one that stayed."""
    for number, stage in enumerate(work.stages):
        for reason in stage.reasons:
            where = f"stage = {number} AND reason = {quoted(reason)}"
            total, led = work.rows(
                f"""SELECT count(*), count(*) FILTER (detail IN (SELECT uid FROM samples))
                    FROM samples WHERE {where}"""
            )[0]
            if led and 2 * led >= total:
                yield _of_stage(work, pictures, stage.stage, reason, where)


def _of_stage(work: Work, pictures: Pictures, stage: str, reason: str, where: str) -> Clusters:
    sizes = work.rows(
        f"""SELECT size, count(*) FROM (
                SELECT detail, count(*) + 1 AS size FROM samples WHERE {where} GROUP BY 1)
            GROUP BY 1 ORDER BY 1"""
    )
    leaders = work.rows(
        f"""SELECT detail, count(*) + 1 FROM samples WHERE {where}
            GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {_CLUSTERS}"""
    )
    return Clusters(
        stage=stage,
        reason=reason,
        number=sum(count for _, count in sizes),
        dropped=sum((size - 1) * count for size, count in sizes),
        sizes=tuple(_grouped(sizes)),
        largest=tuple(
            found
            for uid, size in leaders
            if (found := _cluster(work, pictures, stage, where, uid, size)) is not None
        ),
    )


def _cluster(
    work: Work, pictures: Pictures, stage: str, where: str, uid: str, size: int
) -> Cluster | None:
    leader = work.rows(
        f"""SELECT {_COLUMNS} FROM samples WHERE uid = {quoted(uid)}
            ORDER BY stage NULLS FIRST LIMIT 1"""
    )
    if not leader:
        return None
    copies = _drawn(work, f"{where} AND detail = {quoted(uid)}", _COPIES)
    return Cluster(
        stage,
        size,
        pictures.shown(leader[0])._replace(note="stays"),
        tuple(pictures.shown((*copy[:-1], None)) for copy in copies),
    )


def _grouped(sizes: Sequence[tuple[int, int]]) -> Iterator[tuple[str, int]]:
    """Numbers of clusters by size: 2, 3, 4, 5 to 9, 10 to 99, 100 and more."""
    for low, high in ((2, 2), (3, 3), (4, 4), (5, 9), (10, 99), (100, None)):
        number = sum(n for size, n in sizes if low <= size and (high is None or size <= high))
        name = f"{low}" if low == high else f"{low} to {high}" if high else f"{low} and more"
        if number:
            yield name, number


def _note(value: float | None, threshold: float | None, detail: str | None) -> str:
    told = "" if value is None else f"{value:.6g}"
    if threshold is not None:
        told += f" (threshold {threshold:.6g})"
    return ", ".join(text for text in (told.strip(), detail) if text)
