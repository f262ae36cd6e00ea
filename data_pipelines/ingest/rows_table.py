"""The table of what became of each row; one part a shard, whose note says that the shard is whole.

A part lists the rows of its shard in the order of the list. Before they are fetched the same rows
lie in a part of the list, which has the first columns only.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from data_pipelines.curation.parts import opened_part, write_part
from data_pipelines.ingest.url_rows import UrlRow
from data_pipelines.schema import JsonValue

#: Status of a row whose picture is stored.
OK = "ok"

_LISTED = (
    pa.field("row", pa.int64()),
    pa.field("uid", pa.string()),
    pa.field("url", pa.string()),
    pa.field("caption", pa.string()),
    pa.field("expected", pa.string()),
    pa.field("extra", pa.string()),
    pa.field("status", pa.string()),
)
_FETCHED = (
    pa.field("error", pa.string()),
    pa.field("http_status", pa.int16()),
    pa.field("final_url", pa.string()),
    pa.field("bytes", pa.int64()),
    pa.field("sha256", pa.string()),
    pa.field("format", pa.string()),
    pa.field("original_width", pa.int32()),
    pa.field("original_height", pa.int32()),
    pa.field("width", pa.int32()),
    pa.field("height", pa.int32()),
    pa.field("mended", pa.string()),
)

#: Of the parts of a list.
LIST_SCHEMA = pa.schema(_LISTED)

_BATCH = 4096


class Outcome(NamedTuple):
    """What became of a row.

    Attributes:
        status: ``OK``, or why there is no picture: short, the same for all like cases.
        error: the detail, the same at each try of the same fault.
        http_status: of the last answer; None where there was none.
        final_url: after redirects; None where there were none.
        bytes: of the picture as it came.
        sha256: of these.
        format: of these, as Pillow calls it, in small letters.
        original_width, original_height: pixels of the upright picture as it came.
        width, height: pixels as stored.
        mended: what had to be put right, with semicolons between.
    """

    status: str
    error: str = ""
    http_status: int | None = None
    final_url: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    format: str | None = None
    original_width: int | None = None
    original_height: int | None = None
    width: int | None = None
    height: int | None = None
    mended: str | None = None


class ListedRow(NamedTuple):
    """A row of the list, as a part has it.

    Attributes:
        row: number in all lists together, from 0.
        extra: additional columns as JSON.
        status: empty before it was fetched; a problem of the list itself stands at once.
    """

    row: int
    uid: str
    url: str
    caption: str | None
    expected: str
    extra: str
    status: str


def listed(row: int, found: UrlRow) -> ListedRow:
    """A row of a list under its number."""
    extra = json.dumps(found.extra, ensure_ascii=False, sort_keys=True)
    return ListedRow(row, found.uid, found.url, found.caption, found.expected, extra, found.problem)


def schema_of(additional: Sequence[str]) -> pa.Schema:
    """Columns of the finished table, with the additional ones of the list at the end."""
    named = [field for field in _LISTED if field.name not in ("expected", "extra")]
    return pa.schema([*named, *_FETCHED, *(pa.field(name, pa.string()) for name in additional)])


def write_list_part(path: Path, rows: Sequence[ListedRow]) -> None:
    """Write some rows of a list.

    Raises:
        DataError: the disk refuses.
    """
    columns = list(zip(*rows, strict=True))
    batch = pa.RecordBatch.from_arrays(
        [pa.array(c, type=f.type) for c, f in zip(columns, _LISTED, strict=True)],
        schema=LIST_SCHEMA,
    )
    write_part(path, LIST_SCHEMA, [batch], {"rows": len(rows)})


def read_list_part(path: Path) -> list[ListedRow]:
    """The rows of a part of a list.

    Raises:
        DataError: it is missing or broken.
    """
    table = opened_part(path).read(columns=[field.name for field in _LISTED])
    return [ListedRow(*cells) for cells in zip(*_pylists(table), strict=True)]


def read_outcomes(path: Path) -> list[Outcome]:
    """What became of the rows of a shard, in their order.

    Raises:
        DataError: it is missing or broken.
    """
    table = opened_part(path).read(columns=list(Outcome._fields))
    return [Outcome(*cells) for cells in zip(*_pylists(table), strict=True)]


def write_rows(
    path: Path,
    rows: Sequence[ListedRow],
    outcomes: Sequence[Outcome],
    additional: Sequence[str],
    note: Mapping[str, JsonValue],
) -> None:
    """Write what became of the rows of a shard.

    Raises:
        DataError: the disk refuses.
    """
    schema = schema_of(additional)

    def batches() -> Iterable[pa.RecordBatch]:
        for first in range(0, len(rows), _BATCH):
            part = slice(first, first + _BATCH)
            cells = [
                _cells(one, outcome, additional)
                for one, outcome in zip(rows[part], outcomes[part], strict=True)
            ]
            yield pa.RecordBatch.from_pylist(cells, schema=schema)

    write_part(path, schema, batches(), note)


def statuses(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Number of rows by status, sorted by it."""
    return dict(sorted(Counter(one.status for one in outcomes).items()))


def _cells(one: ListedRow, outcome: Outcome, additional: Sequence[str]) -> dict[str, Any]:
    extra = json.loads(one.extra) if additional else {}
    shown = {name: _shown(extra.get(name)) for name in additional}
    known = {"row": one.row, "uid": one.uid, "url": one.url, "caption": one.caption}
    return known | outcome._asdict() | shown


def _shown(value: JsonValue) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _pylists(table: pa.Table) -> list[list[Any]]:
    return [column.to_pylist() for column in table.columns]
