"""JSON of a stranger, parsed only where its values fit into memory."""

import json
from typing import Any

#: Values of a document. 64 MiB of "{}," would be 22 million, of 72 bytes each and more.
MOST_VALUES = 4_000_000


def check_values(text: bytes) -> None:
    """Count what may begin a value, before anything is built from the text.

    Raises:
        ValueError: there are too many.
    """
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:
        raise ValueError(f"JSON of more than {MOST_VALUES:,} values")


def parsed_json(text: str | bytes) -> Any:
    """The value.

    Raises:
        ValueError: it is no JSON, or too deep, or too large; says why in one line.
    """
    check_values(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("no JSON") from error
