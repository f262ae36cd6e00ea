"""What became of one sample in a run, found without reading the rest."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines.curation.parts import opened_part
from data_pipelines.curation.run_files import LINEAGE, stored_run
from data_pipelines.errors import DataError


class Fate(NamedTuple):
    """One sample of a run; ``stage`` is None where it was kept."""

    uid: str
    shard: str
    row: int
    stage: str | None
    reason: str | None
    value: float | None
    threshold: float | None
    detail: str | None

    def told(self) -> str:
        """In one line."""
        where = f"{self.uid} ({self.shard}, row {self.row:,})"
        if self.stage is None:
            return f"{where}: kept"
        said = f"{where}: dropped by {self.stage}: {self.reason}"
        if self.value is not None:
            said += f", {self.value:.10g}"
        if self.threshold is not None:
            said += f", threshold {self.threshold:.10g}"
        return said + (f" ({self.detail})" if self.detail else "")


#: Letters of a uid that stand for the whole where no other begins so.
LEAST_PREFIX = 8
_MOST_SHOWN = 5
#: Letters in common from which a uid is near another one.
_NEAR = (LEAST_PREFIX, 4)


def why(uid: str, folder: Path) -> list[Fate]:
    """The fate of a sample in a finished run; of several where samples share the uid.

    Args:
        uid: or its beginning, ``LEAST_PREFIX`` letters at least, where no other uid begins so.
    Raises:
        DataError: there is no finished run, no sample with this uid, or several that begin so.
    """
    files = [file for file in stored_run(folder)["files"] if file["name"].startswith(LINEAGE)]
    lineage = _Lineage(folder, [file["name"] for file in files], [f["first_uid"] for f in files])
    if found := lineage.rows(uid, uid):
        return found
    begun = _uids(lineage.beginning_with(uid))
    if len(begun) == 1 and len(uid) >= LEAST_PREFIX:
        return lineage.rows(begun[0], begun[0])
    if begun:
        more = f" and {len(begun) - _MOST_SHOWN:,} more" if len(begun) > _MOST_SHOWN else ""
        enough = "give more of it" if len(begun) > 1 else f"give {LEAST_PREFIX} letters or all"
        raise DataError(
            f"no sample '{uid}' in {folder}; {', '.join(begun[:_MOST_SHOWN])}{more} "
            f"{'begin' if len(begun) > 1 else 'begins'} so; {enough}"
        )
    near = next(filter(None, (_uids(lineage.beginning_with(uid[:n])) for n in _NEAR)), [])
    shown = f"; near it: {', '.join(near[:_MOST_SHOWN])}" if near else ""
    raise DataError(
        f"no sample '{uid}' in {folder}{shown}; check it (whole, or {LEAST_PREFIX} letters of its "
        "beginning, as in the column uid of its table)"
    )


class _Lineage(NamedTuple):
    """Files of fates in the order of their uids, across files and within them."""

    folder: Path
    names: Sequence[str]
    firsts: Sequence[str]

    def beginning_with(self, prefix: str) -> list[Fate]:
        return self.rows(prefix, prefix + _LAST) if prefix else []

    def rows(self, low: str, high: str) -> list[Fate]:
        """Fates of all uids from the low one to the high one, both included."""
        # samples of one uid may begin in the file before the first that begins with it
        begin, end = max(bisect_left(self.firsts, low) - 1, 0), bisect_right(self.firsts, high)
        names = self.names[begin:end]
        return [fate for name in names for fate in _found(low, high, self.folder / name)]


#: Stands behind every other letter.
_LAST = "\U0010ffff"


def _uids(fates: Sequence[Fate]) -> list[str]:
    return list(dict.fromkeys(fate.uid for fate in fates))


def _found(low: str, high: str, path: Path) -> list[Fate]:
    with opened_part(path) as file:
        column = file.schema_arrow.get_field_index("uid")
        groups = [
            group
            for group in range(file.num_row_groups)
            if _may_hold(file.metadata.row_group(group).column(column).statistics, low, high)
        ]
        if not groups:
            return []
        rows = file.read_row_groups(groups)
    places = [i for i, one in enumerate(rows["uid"].to_pylist()) if low <= one <= high]
    return [Fate(**rows.slice(place, 1).to_pylist()[0]) for place in places]


def _may_hold(statistics: Any, low: str, high: str) -> bool:
    """Whether a row group's lowest and highest uid leave room for one of these."""
    if statistics is None or not statistics.has_min_max:
        return True
    return statistics.min <= high and low <= statistics.max
