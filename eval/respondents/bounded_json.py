"""JSON of a stranger, parsed only where its values fit into memory."""

import json
from typing import Any

#: Values of a document. 64 MiB of "{}," would be 22 million, of 72 bytes each and more.
MOST_VALUES = 4_000_000


def parsed_json(text: str | bytes) -> Any:
    """The value.

    Raises:
        ValueError: it is no JSON, or too deep, or too large; says why in one line.
    """
    marks = (b",", b"[", b"{") if isinstance(text, bytes) else (",", "[", "{")
    if sum(text.count(mark) for mark in marks) > MOST_VALUES:  # type: ignore[arg-type]
        raise ValueError(f"JSON of more than {MOST_VALUES:,} values")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("no JSON") from error
