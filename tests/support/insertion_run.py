"""A source and a method for the runner that other processes import in no time."""

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

from eval.xmai.chunks import CaptionRow, CaptionSource, Chunk
from eval.xmai.records import Insertion, PerturbedCaption, inserted

_WORDS = ("red", "old", "wooden", "striped")


@dataclass(frozen=True, slots=True)
class MadeCaptions:
    """Pictures with one to three captions each.

    Args:
        count: of the pictures.
        description: see ``CaptionSource``.
    """

    count: int
    description: dict[str, Any] = field(default_factory=lambda: {"name": "made", "revision": "0"})

    def __len__(self) -> int:
        return self.count

    def chunk(self, start: int, stop: int, *, with_pictures: bool) -> Chunk:
        """See ``CaptionSource``."""
        span = range(start, min(stop, self.count))
        rows = [
            CaptionRow(f"picture-{i}", n, f"the chair {i} or {n}", None, i - start, ())
            for i in span
            for n in range(1 + i % 3)
        ]
        return Chunk(tuple(rows), tuple(str(i).encode() for i in span))


class HashMethod:
    """Inserts a word that is a hash of picture and caption.

    Args:
        seconds: it waits before each chunk.
    """

    needs_pictures = True
    models = {"scorer": {"name": "hash", "fingerprint": "1"}}  # noqa: RUF012

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds

    def perturb(self, chunk: Chunk) -> list[PerturbedCaption]:
        """See ``Method``."""
        time.sleep(self._seconds)
        return [_record(row, chunk.pictures[row.picture]) for row in chunk.rows]


def _record(row: CaptionRow, picture: bytes) -> PerturbedCaption:
    word = _WORDS[hashlib.sha256(picture + row.text.encode()).digest()[0] % len(_WORDS)]
    one = Insertion(offset=4, text=f"{word} ", word=word, noun="chair", noun_offset=4)
    return PerturbedCaption(
        uid=row.uid,
        caption_number=row.number,
        original=row.text,
        perturbed=inserted(row.text, [one]),
        method="hash",
        insertions=(one,),
    )


def build(source: CaptionSource) -> HashMethod:
    """A ``Builder``."""
    return HashMethod()


def build_slow(source: CaptionSource) -> HashMethod:
    """A ``Builder`` whose method takes 50 ms a chunk."""
    return HashMethod(seconds=0.05)
