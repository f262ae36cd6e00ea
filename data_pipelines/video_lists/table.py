"""A table of one's own: paths, captions and, where it has them, times; a path is one video."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_pipelines.skips import Skips
from data_pipelines.table_rows import TableColumns, is_text, texts_of
from data_pipelines.video_lists.listed import ListedVideo, Moment

_MAX_SECONDS = 1e7


def read_video_table(columns: TableColumns, skips: Skips) -> Iterator[ListedVideo]:
    """Videos in the order of first appearance.

    Args:
        columns: path, caption, start and end, in this order; times in seconds, or as h:m:s. A row
            without times speaks of the whole video.
    Raises:
        DataError: the table cannot be read, or lacks a column.
    """
    captions: dict[str, dict[str, None]] = {}
    moments: dict[str, dict[Moment, None]] = {}
    for row in columns.rows(skips):
        where = f"{columns.table.name} row {row.number}"
        named, caption, start, end = row.cells
        path = named.strip() if isinstance(named, str) else ""
        texts = [text for text in texts_of(caption) if text]
        try:
            span = span_of(start, end)
        except ValueError as error:
            skips.add("times that are none", f"{where}: {error}")
            continue
        if not path:
            skips.add("no video path", where)
        elif not texts:
            skips.add("empty caption", where)
        elif not all(is_text(text) for text in (path, *texts)):
            skips.add("text not UTF-8", where)
        else:
            own, spans = captions.setdefault(path, {}), moments.setdefault(path, {})
            if span is None:
                own.update(dict.fromkeys(texts))
            else:
                spans.update(dict.fromkeys(Moment(*span, text) for text in texts))
    skips.read("videos named", len(captions))
    for path, own in captions.items():
        spans = moments[path]
        if spans:
            # Beside spans, what is said of the whole video is said of its longest one.
            whole = dict.fromkeys(Moment(0.0, None, text) for text in own)
            yield ListedVideo(path, (), tuple(whole | spans), Path(path).stem)
        else:
            yield ListedVideo(path, tuple(own), (), Path(path).stem)


def span_of(start: Any, end: Any) -> tuple[float, float | None] | None:
    """Start and end in seconds; None where the row has neither.

    Raises:
        ValueError: they are no span.
    """
    first, last = _seconds(start), _seconds(end)
    if first is None and last is None:
        return None
    first = first or 0.0
    if first < 0 or (last is not None and last <= first):
        raise ValueError(f"from {start} to {end}")
    return first, last


def _seconds(cell: Any) -> float | None:
    """A number, or h:m:s or m:s; None for an empty cell."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        parts = [float(part) for part in str(cell).strip().split(":")]
    except ValueError:
        raise ValueError(f"{str(cell)[:40]!r} is no time; write seconds, or h:m:s") from None
    total = 0.0
    for part in parts:
        total = 60 * total + part
    if len(parts) > 3 or not abs(total) < _MAX_SECONDS:
        raise ValueError(f"{str(cell)[:40]!r} is no time; write seconds, or h:m:s")
    return total
