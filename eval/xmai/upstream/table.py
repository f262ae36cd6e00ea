"""Upstream's CSV of texts, objects and attributes, with its quirks, as a source.

Columns: ``objects`` and ``attributes`` are Python list literals of equal length; ``file`` is a
file name, or the picture itself in url-safe base64; ``image_id`` may hold the printed form of a
pandas Series, index and all ("0    397133" and a line about its dtype), of which the second whole
number is the id. Facts about the format: arXiv 2306.11065's repository.
"""

import ast
import base64
import binascii
import csv
import hashlib
import io
import re
from collections import Counter
from pathlib import Path

from eval.errors import EvaluationError
from eval.xmai.detections import Detection
from eval.xmai.sources import TableRow, TableSource

#: Where the text may be, the first that is there.
TEXT_COLUMNS = ("text", "original", "caption", "hypothesis")
_PICTURE_COLUMNS = ("file", "image", "image_file", "file_name")
_ID_COLUMNS = ("image_id", "id")

_SERIES = re.compile(r"\s*\d+\s+(\d+)\s*(?:\n|$)")
_SHORTEST_BASE64 = 200
_LARGEST_CELL = 2**31 - 1


def read_upstream_table(
    path: Path, *, images: Path | None = None, caption_column: str | None = None
) -> TableSource:
    """Read a table; a row without objects has no detections.

    Args:
        images: where file names of the ``file`` column are; None: beside the table.
        caption_column: None takes the first of text, original, caption, hypothesis.
    Raises:
        EvaluationError: no such file or column, or a row whose lists cannot be read.
    """
    csv.field_size_limit(_LARGEST_CELL)
    try:
        content = path.read_bytes()
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        records = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"cannot read the table {path} ({error}); it must be CSV") from error
    columns = tuple(reader.fieldnames or ())
    text = caption_column or _first(columns, TEXT_COLUMNS)
    if text not in columns:
        raise EvaluationError(
            f"{path} has no column '{text or 'text'}' (it has: {', '.join(columns)}); "
            "name the one with the texts: --caption-column"
        )
    uids = _uids(records, _first(columns, _ID_COLUMNS))
    rows = tuple(
        _row(path, number, record, uid, text, images or path.parent)
        for number, (record, uid) in enumerate(zip(records, uids, strict=True), start=2)
    )
    description = {"name": path.name, "revision": hashlib.sha256(content).hexdigest()}
    return TableSource(rows, description)


def image_id(cell: str) -> str:
    """The id in a cell, also where it is the printed form of a pandas Series."""
    found = _SERIES.match(cell)
    return found.group(1) if found else cell.strip()


def literal_list(cell: str) -> list[str]:
    """A Python list literal of texts, read without running anything.

    Raises:
        ValueError: something else.
    """
    try:
        found = ast.literal_eval(cell)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError(f"no list literal: {cell[:40]!r}") from error
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"no list of texts: {cell[:40]!r}")
    return found


def picture_of(cell: str) -> bytes | None:
    """The picture that a cell holds; None: it names a file."""
    if len(cell) < _SHORTEST_BASE64:
        return None
    try:
        return base64.b64decode(cell, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


def _row(
    path: Path, number: int, record: dict[str, str], uid: str, text: str, images: Path
) -> TableRow:
    try:
        objects = literal_list(record.get("objects") or "[]")
        attributes = literal_list(record.get("attributes") or "[]")
        seen = tuple(
            Detection(uid=uid, name=name, attribute=attribute)
            for name, attribute in zip(objects, attributes, strict=True)
        )
    except ValueError as error:
        raise EvaluationError(
            f"{path}, line {number}: objects and attributes are no two lists of equal length "
            f"({error})"
        ) from error
    cell = next((record[column] for column in _PICTURE_COLUMNS if record.get(column)), "")
    data = picture_of(cell)
    file = images / cell if cell and data is None else None
    return TableRow(uid, record.get(text) or "", file, data or b"", seen)


def _uids(records: list[dict[str, str]], column: str | None) -> list[str]:
    """The image id, and the row too where an image comes more than once."""
    ids = [image_id(record.get(column) or "") if column else "" for record in records]
    counts = Counter(ids)
    return [one if one and counts[one] == 1 else f"{one}@{row}" for row, one in enumerate(ids)]


def _first(columns: tuple[str, ...], wanted: tuple[str, ...]) -> str | None:
    return next((column for column in wanted if column in columns), None)
