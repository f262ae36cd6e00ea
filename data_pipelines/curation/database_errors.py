"""Errors of DuckDB, as a user is told them."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

_INTERRUPTED = "Query interrupted"
_MOST_CHARS = 300


def told(error: duckdb.Error) -> str:
    """What went wrong, in one line, without the query that met it."""
    text = str(error).partition("\n\nLINE ")[0]
    return " ".join(text.split())[:_MOST_CHARS]


@contextmanager
def heeding_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C during a query end the work as it does elsewhere.

    Raises:
        KeyboardInterrupt: in place of the RuntimeError that DuckDB makes of it.
    """
    try:
        yield
    except RuntimeError as error:
        if str(error) != _INTERRUPTED:
            raise
        raise KeyboardInterrupt from error
