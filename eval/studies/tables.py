"""Tables of a study as rows of text, for terminals and Markdown alike."""

from typing import NamedTuple


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
