"""What became of one sample in a run, found without reading the rest."""

from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import Any, NamedTuple

from data_pipelines.curation.parts import opened_part
from data_pipelines.curation.run import LINEAGE, stored_run
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


def why(uid: str, folder: Path) -> list[Fate]:
    """The fate of a sample in a finished run; of several where samples share the uid.

    Raises:
        DataError: there is no finished run, or no sample with this uid.
    """
    files = [file for file in stored_run(folder)["files"] if file["name"].startswith(LINEAGE)]
    firsts = [file["first_uid"] for file in files]
    # samples of one uid may begin in the file before the first that begins with it
    begin, end = max(bisect_left(firsts, uid) - 1, 0), bisect_right(firsts, uid)
    found = [fate for file in files[begin:end] for fate in _found(uid, folder / file["name"])]
    if not found:
        raise DataError(
            f"no sample '{uid}' in {folder}; check it (whole, as in the column uid of its table)"
        )
    return found


def _found(uid: str, path: Path) -> list[Fate]:
    with opened_part(path) as file:
        column = file.schema_arrow.get_field_index("uid")
        groups = [
            group
            for group in range(file.num_row_groups)
            if _may_hold(file.metadata.row_group(group).column(column).statistics, uid)
        ]
        if not groups:
            return []
        rows = file.read_row_groups(groups)
    places = [i for i, one in enumerate(rows["uid"].to_pylist()) if one == uid]
    return [Fate(**rows.slice(place, 1).to_pylist()[0]) for place in places]


def _may_hold(statistics: Any, uid: str) -> bool:
    """Whether a row group's lowest and highest uid leave room for this one."""
    if statistics is None or not statistics.has_min_max:
        return True
    return statistics.min <= uid <= statistics.max
