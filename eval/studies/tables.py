"""Tables of a study as rows of text, for terminals and Markdown alike."""

from collections.abc import Mapping
from typing import Any, NamedTuple

_NONE = "-"


class Table(NamedTuple):
    """Rows of text under a heading."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def as_text(table: Table) -> str:
    """Columns aligned with spaces."""
    lines = [table.header, *table.rows]
    widths = [max(len(row[i]) for row in lines) for i in range(len(table.header))]
    shown = ["  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) for row in lines]
    shown.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([table.title, *(line.rstrip() for line in shown)])


def as_markdown(table: Table) -> str:
    """A pipe table with its heading and note."""
    lines = [table.header, ("---",) * len(table.header), *table.rows]
    shown = ["| " + " | ".join(t.replace("|", "\\|") for t in row) + " |" for row in lines]
    return "\n".join([f"## {table.title}", "", table.note, "", *shown, ""])


def percent(found: Mapping[str, Any] | None, *, digits: int = 1, sign: bool = False) -> str:
    """A share as percent with its interval, ``31.2 (29.9-32.6)``."""
    return _with_interval(found, 100.0, f"{'+' if sign else ''}.{digits}f")


def number(found: Mapping[str, Any] | None, *, digits: int = 3, sign: bool = False) -> str:
    """As it is, with its interval."""
    return _with_interval(found, 1.0, f"{'+' if sign else ''}.{digits}f")


def _with_interval(found: Mapping[str, Any] | None, scale: float, form: str) -> str:
    if found is None or found["value"] is None:
        return _NONE
    value = f"{scale * found['value']:{form}}"
    if found["low"] is None:
        return value
    low, high = (f"{scale * found[end]:{form}}" for end in ("low", "high"))
    between = " to " if "+" in form or "-" in low else "-"
    return f"{value} ({low}{between}{high})"
