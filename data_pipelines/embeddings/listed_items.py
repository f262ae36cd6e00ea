"""Pictures in files and texts in lists as items."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from data_pipelines.bounded_files import media_bytes
from data_pipelines.embeddings.item import Item, Wanted, part_ranges
from data_pipelines.schema import JsonValue, make_uid
from data_pipelines.shards.stored_sample import printable

#: Collections that uids are of, as ``data build`` has them.
FOLDER, TABLE, _TEXTS = "image-folder", "table", "text"

_PARTS = 64  # of a list, which is usually all there is


class Listed(NamedTuple):
    """A picture file, a text, or both.

    Attributes:
        path: from the folder that paths start from; "" for a text.
        caption: None where nothing is said of it.
    """

    path: str
    caption: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPart:
    """Neighbours of a list.

    Attributes:
        root: folder that paths start from.
        first: number of the first of them in the whole list.
        key: folder or file that lists them.
        collection: that their uids are of.
    """

    root: Path
    key: Path
    first: int
    entries: tuple[Listed, ...]
    collection: str = FOLDER

    @property
    def num_rows(self) -> int:
        """See ``Part``."""
        return len(self.entries)

    @property
    def content(self) -> str:
        """Over names, captions, and sizes and times of the files: no file is read for it."""
        digest = hashlib.sha256()
        for path, caption in self.entries:
            stamp = _stamp(self.root / path) if path else ""
            digest.update(repr((path, caption, stamp)).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @property
    def source(self) -> dict[str, JsonValue]:
        """See ``Part``."""
        last = self.first + len(self.entries)
        kind = "files" if any(path for path, _ in self.entries) else "texts"
        root, key = str(self.root.absolute()), str(self.key.absolute())
        return {"kind": kind, "path": key, "root": root, "first": self.first, "last": last}

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See ``Part``."""
        for row, (path, caption) in enumerate(self.entries, start=self.first):
            data, problem = _read(self.root / path) if path else (None, "")
            picture = data if wanted.pictures else None
            problem = (problem if wanted.pictures else "") or wanted.lack(picture, caption)
            if path:
                uid = make_uid(self.collection, path, data or b"")
            else:
                uid = make_uid(_TEXTS, str(row), (caption or "").encode("utf-8", "surrogatepass"))
            yield Item(row, uid, printable(path), caption, picture, problem)


def listed_parts(
    entries: Sequence[Listed], *, root: Path, key: Path, rows: int | None, collection: str = FOLDER
) -> Iterator[ListedPart]:
    """A list in parts of at most ``rows``."""
    for first, last in part_ranges(len(entries), rows, parts=_PARTS):
        yield ListedPart(
            root=root,
            key=key,
            first=first,
            entries=tuple(entries[first:last]),
            collection=collection,
        )


def _stamp(path: Path) -> tuple[int, int] | str:
    try:
        found = path.stat()
    except OSError:
        return "missing"
    return found.st_size, found.st_mtime_ns


def _read(path: Path) -> tuple[bytes | None, str]:
    """The bytes of a file, or why there are none."""
    try:
        return media_bytes(path), ""
    except FileNotFoundError:
        return None, "missing file"
    except OSError:
        return None, "unreadable picture"
