"""Languages and sources before and after a run."""

from collections.abc import Iterator
from typing import NamedTuple

from eval.curation.work import Work

_SHOWN = 15

#: The part of an address that says whose it is; of a shard's name, without its number.
_HOST = r"regexp_extract(url, '^[a-zA-Z]+://([^/:?#]+)', 1)"
_SET = r"regexp_replace(shard, '[-_.]?[0-9]*\.tar$', '')"


class Part(NamedTuple):
    """Samples of one language or source; shares are of all given, and of all kept."""

    name: str
    given: int
    kept: int
    share_given: float
    share_kept: float

    @property
    def survival(self) -> float:
        """Share of its samples that were kept."""
        return self.kept / self.given


class Parts(NamedTuple):
    """A pool by one of its columns, the largest part first, the small ones together."""

    title: str
    note: str
    parts: tuple[Part, ...]


def pool_parts(work: Work) -> Iterator[Parts]:
    """By language, by host of the address and by set of shards, where there is more than one."""
    for title, note, expression in (
        ("Languages", "Of the first caption, as the scan found it.", "language"),
        ("Sources by address", "Hosts of the column url.", f"nullif({_HOST}, '')"),
        ("Sources by shards", "Names of the shards without their numbers.", _SET),
    ):
        parts = _parts(work, expression)
        if len(parts) > 1:
            yield Parts(title, note, parts)


def _parts(work: Work, expression: str) -> tuple[Part, ...]:
    rows = work.rows(
        f"""SELECT {expression} AS name, count(*), count(*) FILTER (stage IS NULL)
            FROM samples GROUP BY 1 ORDER BY 2 DESC, 1 NULLS LAST"""
    )
    given, kept = sum(row[1] for row in rows), sum(row[2] for row in rows)
    shown = [(name or "not known", *counts) for name, *counts in rows[:_SHOWN]]
    rest = rows[_SHOWN:]
    if rest:
        others = (sum(row[1] for row in rest), sum(row[2] for row in rest))
        shown.append((f"{len(rest):,} others", *others))
    return tuple(
        Part(name, own, left, own / given, left / kept if kept else 0.0)
        for name, own, left in shown
    )
