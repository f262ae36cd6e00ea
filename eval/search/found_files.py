"""Search results as a page and as a contact sheet."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines.contact_sheet import Pair, draw_rows
from data_pipelines.errors import DataError
from data_pipelines.images import encode_png
from data_pipelines.shards.atomic import write_file
from eval.report.page import render_page
from eval.report.thumbnails import as_address
from vlsuite.batches.decode import decode_image

_SIDE = 220  # pixels of a picture on the page


class Hit(NamedTuple):
    """One thing that was found.

    Attributes:
        cosine: of query and vector.
        source: folder, shard or table that the row is of.
        encoded: its picture; None where it is gone, or was not asked for.
    """

    rank: int
    cosine: float
    uid: str
    path: str
    caption: str | None
    source: str
    row: int
    encoded: bytes | None = None


class Answer(NamedTuple):
    """What one query found.

    Attributes:
        text: the words, the path of the picture, or the uid that was asked with.
        encoded: the picture that was asked with.
    """

    text: str
    encoded: bytes | None
    hits: tuple[Hit, ...]


def write_page(
    path: Path,
    answers: Sequence[Answer],
    *,
    name: str,
    model: str,
    how: str,
    facts: Sequence[tuple[str, str]],
) -> None:
    """Write one HTML page that needs nothing else.

    Args:
        name: of what was searched.
        how: in a sentence: all vectors, or an index.
        facts: label and value.
    Raises:
        DataError: the file cannot be written.
    """
    questions = [
        {
            "text": answer.text,
            "picture": _small(answer.encoded),
            "hits": [
                {
                    "cosine": hit.cosine,
                    "path": hit.path,
                    "caption": hit.caption,
                    "picture": _small(hit.encoded),
                }
                for hit in answer.hits
            ],
        }
        for answer in answers
    ]
    values = {"questions": questions, "name": name, "model": model, "how": how, "facts": facts}
    write_file(path, render_page("eval.search", "page.html", values).encode())


def write_sheet(path: Path, answers: Sequence[Answer]) -> None:
    """Write a PNG: the query, below it a row of its pictures with cosines and captions.

    Raises:
        DataError: the file cannot be written, or nothing was found.
    """
    if not any(answer.hits for answer in answers):
        raise DataError("nothing was found, so there is no sheet to draw")
    titled = zip(_titles(answers), answers, strict=True)
    rows = [(title, [*map(_pair, answer.hits)]) for title, answer in titled]
    write_file(path, encode_png(draw_rows(rows)))


def _titles(answers: Sequence[Answer]) -> list[str]:
    """Words and uids themselves; of pictures the names, with their folders where these repeat."""
    paths = [Path(answer.text) if answer.encoded is not None else None for answer in answers]
    names = Counter(path.name for path in paths if path is not None)
    return [
        answer.text if path is None
        else path.name if names[path.name] == 1
        else str(Path(*path.parts[-2:]))
        for answer, path in zip(answers, paths, strict=True)
    ]  # fmt: skip


def _pair(hit: Hit) -> Pair:
    return Pair(hit.encoded or b"", (f"{hit.cosine:.3f} {hit.caption or hit.path}",))


def _small(encoded: bytes | None) -> str | None:
    if encoded is None:
        return None
    try:
        picture = decode_image(encoded)
    except DataError:
        return None
    picture.thumbnail((_SIDE, _SIDE))
    return as_address(picture)
