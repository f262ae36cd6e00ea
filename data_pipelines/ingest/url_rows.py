"""Rows of URL lists of any format, in order, nothing lost.

Text lists may be packed by gzip; they are unpacked to a file first, so that the same readers serve.
"""

import gzip
import json
import re
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from data_pipelines.bounded_json import bounded_lines, parsed_record
from data_pipelines.errors import DataError
from data_pipelines.ingest.json_array import array_objects
from data_pipelines.ingest.settings import ListSettings, format_of
from data_pipelines.schema import JsonValue, is_uid, make_uid
from data_pipelines.separated_values import SeparatedRows
from data_pipelines.shards.atomic import replacing
from data_pipelines.skips import Skips
from data_pipelines.table_rows import TableColumns, WantedColumn

#: Why a row is not even asked for.
NO_URL, BAD_URL, BAD_ROW, DUPLICATE = "no url", "bad url", "bad row", "duplicate row"

#: Characters of an address; servers take 8,000.
MAX_URL = 8000

_PIECE = 1 << 20
_NONE = "\0"  # a column that no list has
_UNSEEN = re.compile(r"[\x00-\x20\x7f]|\ufffd")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class UrlRow(NamedTuple):
    """One row of a list.

    Attributes:
        url: stripped; empty where there is none.
        caption: None where there is none.
        uid: 32 hexadecimal digits.
        expected: digest that the bytes must have, in lower case; empty where none is asked for.
        extra: further columns by name.
        problem: why it cannot be asked for, a status; empty where it can.
    """

    url: str
    caption: str | None
    uid: str
    expected: str
    extra: dict[str, JsonValue]
    problem: str


def url_rows(
    path: Path, settings: ListSettings, skips: Skips, *, scratch: Path
) -> Generator[UrlRow, None, None]:
    """Every row of a list; lines that are no rows at all are counted in ``skips``.

    Args:
        scratch: folder for an unpacked copy.
    Raises:
        DataError: there is no such list, it cannot be read, is of no known format, or lacks the
            column of addresses.
    """
    kind = format_of(path) if settings.input_format == "auto" else settings.input_format
    if not path.is_file():
        raise DataError(f"list {path} does not exist; check the path")
    if not kind:
        raise DataError(
            f"{path}: its suffix says no format; name one by --input-format "
            "txt|csv|tsv|json|jsonl|parquet"
        )
    plain = _plain(path, kind, scratch / f"list.{kind}")
    try:
        yield from (_row(cells, settings) for cells in _cells(plain, kind, path, settings, skips))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    finally:
        if plain != path:
            plain.unlink(missing_ok=True)


def _plain(path: Path, kind: str, to: Path) -> Path:
    """A file that is not packed and is called as its kind is: the list itself, or ``to``."""
    with path.open("rb") as stream:
        is_packed = stream.read(2) == b"\x1f\x8b"
    if not is_packed:
        if path.suffix.lower() == f".{kind}":
            return path
        to.unlink(missing_ok=True)
        to.symlink_to(path.resolve())
        return to
    try:
        with gzip.open(path) as packed, replacing(to) as file:
            while piece := packed.read(_PIECE):
                file.write(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is broken gzip ({error}); fetch or pack it again") from error
    return to


def _cells(
    plain: Path, kind: str, path: Path, settings: ListSettings, skips: Skips
) -> Iterator[tuple[Any, ...]]:
    """The wanted cells of each row: url, caption, uid, digest, then the additional columns."""
    wanted = _wanted(settings)
    if kind == "txt":
        for row in SeparatedRows(plain, delimiter="\n", quoting="none"):
            yield (row.cells[0] if row.cells else "", *([None] * (len(wanted) - 1)))
    elif kind in ("csv", "tsv", "parquet"):
        columns = TableColumns(
            table=plain,
            wanted=wanted,
            quoting=settings.quoting,
            names=settings.columns if kind != "parquet" else (),
        )
        yield from (row.cells for row in columns.rows(skips))
    else:
        records = array_objects(plain) if kind == "json" else _json_lines(plain, skips)
        for number, record in enumerate(records):
            if number == 0 and settings.url_col not in record:
                found = ", ".join(list(record)[:20])
                raise DataError(
                    f"{path} has no '{settings.url_col}' in its first object ({found or 'empty'}); "
                    "choose by --url-col"
                )
            yield tuple(record.get(column.name) for column in wanted)


def _json_lines(path: Path, skips: Skips) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(bounded_lines(path), start=1):
        if not line.strip():
            continue
        try:
            yield parsed_record(line)
        except ValueError as error:
            skips.add("broken row", f"{path.name} line {number}: {error}")


def _wanted(settings: ListSettings) -> tuple[WantedColumn, ...]:
    digest = settings.verify_hash[0] if settings.verify_hash else ""
    additional = settings.save_additional_columns
    return (
        WantedColumn(settings.url_col, "--url-col"),
        WantedColumn(settings.caption_col, "--caption-col", is_text=True, may_be_missing=True),
        WantedColumn(settings.uid_col or _NONE, "--uid-col", may_be_missing=not settings.uid_col),
        WantedColumn(digest or _NONE, "--verify-hash", may_be_missing=not digest),
        *(WantedColumn(name, "--save-additional-columns") for name in additional),
    )


def _row(cells: tuple[Any, ...], settings: ListSettings) -> UrlRow:
    url, caption, uid, expected = cells[:4]
    extra = dict(zip(settings.save_additional_columns, map(_storable, cells[4:]), strict=False))
    url = _text(url.strip()) if isinstance(url, str) else ""
    caption = _text(caption) if isinstance(caption, str) and caption.strip() else None
    problem = _problem(url)
    if settings.uid_col:
        uid = uid.replace("-", "").lower() if isinstance(uid, str) else ""
        problem = problem if is_uid(uid) else problem or BAD_ROW
    if not settings.uid_col or not is_uid(uid):
        uid = row_uid(url, caption)
    expected = expected.strip().lower() if isinstance(expected, str) else ""
    if settings.verify_hash and not expected:
        problem = problem or BAD_ROW
    return UrlRow(url, caption, uid, expected, extra, problem)


def row_uid(url: str, caption: str | None) -> str:
    """Permanent id of a pair: the same in every list and under every setting."""
    return make_uid("url", url, (caption or "").encode())


def _problem(url: str) -> str:
    if not url:
        return NO_URL
    if len(url) > MAX_URL or not url.lower().startswith(("http://", "https://")):
        return BAD_URL
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return BAD_URL
    if not is_whole or parts.username is not None or _UNSEEN.search(parts.netloc):
        return BAD_URL
    return ""


def _text(text: str) -> str:
    """Without surrogates, also those that stand for bytes that were no UTF-8."""
    return _SURROGATE.sub("\ufffd", text)


def _storable(value: Any) -> JsonValue:
    if isinstance(value, str):
        return _text(value)
    try:
        text = json.dumps(value, default=str, allow_nan=False, ensure_ascii=False)
        return json.loads(_text(text))
    except ValueError:
        return _text(str(value))
