"""JSON of a stranger, parsed only where its values fit into memory and are not too deep."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_pipelines.bounded_files import bounded_bytes

#: Values of a document. 64 MiB of "{}," would be 22 million, of 72 bytes each and more.
MOST_VALUES = 4_000_000

#: Of a list of all images of a data set; COCO's captions of 2017 have 3.5 million.
MOST_ANNOTATIONS = 12_000_000

#: Bytes of such a list.
MOST_ANNOTATION_BYTES = 1 << 30

#: Lists and objects inside each other. Code that walks a value calls itself once a level.
MOST_LEVELS = 100

#: Bytes of a file of settings or of a description; the largest tokenizers have some 40 MB.
MOST_BYTES = 256 << 20

#: Bytes of a line of a log; a longer one is none of ours.
MOST_LINE = 16 << 20

_MARK = b"\xef\xbb\xbf"


def check_values(text: bytes, *, most_values: int = MOST_VALUES) -> None:
    """Count what may begin a value, before anything is built from the text.

    Raises:
        ValueError: there are too many.
    """
    if sum(text.count(mark) for mark in (b",", b"[", b"{")) > most_values:
        raise ValueError(f"JSON of more than {most_values:,} values")


def parsed_json(text: str | bytes, *, most_values: int = MOST_VALUES) -> Any:
    """The value.

    Raises:
        ValueError: it is no JSON, or too deep, or too large; says why in one line.
    """
    marked = text.encode("utf-8", "replace") if isinstance(text, str) else text
    check_values(marked, most_values=most_values)
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"JSON of more than {MOST_LEVELS} levels") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON ({error.msg}, line {error.lineno})") from error
    except ValueError as error:
        # bytes that are no UTF-8, or a whole number of thousands of digits
        raise ValueError(f"no JSON ({' '.join(str(error).split())[:80]})") from error
    _check_levels(value)
    return value


def parsed_record(text: str | bytes) -> dict[str, Any]:
    """The object.

    Raises:
        ValueError: it is no JSON object, or too deep, or too large; says why in one line.
    """
    value = parsed_json(text)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def read_json(path: Path, *, most_bytes: int = MOST_BYTES, most_values: int = MOST_VALUES) -> Any:
    """The value of a file, a byte order mark left out.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or too deep, or too large; says why in one line.
    """
    text = bounded_bytes(path, most_bytes=most_bytes).removeprefix(_MARK)
    return parsed_json(text, most_values=most_values)


def read_annotations(path: Path) -> Any:
    """The value of a file that lists all images of a data set.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or too deep, or too large; says why in one line.
    """
    return read_json(path, most_bytes=MOST_ANNOTATION_BYTES, most_values=MOST_ANNOTATIONS)


def read_object(path: Path, *, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The object of a file, as ``read_json``.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON object, or too deep, or too large; says why in one line.
    """
    return parsed_record(bounded_bytes(path, most_bytes=most_bytes).removeprefix(_MARK))


def json_lines(path: Path) -> Iterator[Any]:
    """The values of a log of one a line, None for a line that holds none (a kill may leave half).

    Raises:
        OSError: it cannot be read.
    """
    for line in bounded_lines(path):
        try:
            yield parsed_json(line)
        except ValueError:
            yield None


def bounded_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file of any size; of an overlong one, its first ``MOST_LINE`` bytes.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        while line := stream.readline(MOST_LINE):
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = stream.readline(MOST_LINE)
            yield line.rstrip(b"\r\n")


def _check_levels(value: Any) -> None:
    """Level by level rather than by calls: depth is what is not known."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MOST_LEVELS):
        children = (child for one in level for child in _children(one))
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return
    raise ValueError(f"JSON of more than {MOST_LEVELS} levels")


def _children(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value
