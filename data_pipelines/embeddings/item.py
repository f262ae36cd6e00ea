"""What is embedded, one at a time, and the parts that it comes in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue

IMAGES, TEXTS, BOTH = "images", "texts", "both"
#: What can be embedded of each sample.
KINDS = (IMAGES, TEXTS, BOTH)

# Rows of a part by default: enough to amortise its files, few enough to share the work out.
_LEAST_ROWS, _MOST_ROWS = 256, 8192


class Item(NamedTuple):
    """One picture, one text, or a picture with its text.

    Attributes:
        row: number in the shard, list or table that it is from.
        uid: permanent id.
        path: of the file, from the folder it is in; SHARD.tar/KEY for a sample of a shard.
        caption: the first one as training reads it; the text itself where texts are embedded.
        picture: encoded; None where none is asked for.
        problem: why it cannot be embedded, the same words for all like cases; "": nothing.
    """

    row: int
    uid: str
    path: str
    caption: str | None
    picture: bytes | None
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is read of each sample; what is not wanted may still be told where it costs nothing."""

    pictures: bool
    captions: bool

    @classmethod
    def of(cls, kind: str) -> "Wanted":
        """What embedding one of ``KINDS`` needs.

        Raises:
            DataError: it is none of them.
        """
        if kind not in KINDS:
            raise DataError(f"cannot embed '{kind}'; give one of {', '.join(KINDS)}")
        return cls(pictures=kind != TEXTS, captions=kind != IMAGES)

    def lack(self, picture: bytes | None, caption: str | None) -> str:
        """Why what was found is not enough; "": it is."""
        if self.pictures and picture is None:
            return "no image"
        return "no caption" if self.captions and not caption else ""


@runtime_checkable
class Part(Protocol):
    """Neighbours that are embedded and stored together."""

    @property
    def num_rows(self) -> int:
        """How many items it has."""
        ...

    @property
    def content(self) -> str:
        """Digest of what is in it: equal ones give equal items."""
        ...

    @property
    def source(self) -> dict[str, JsonValue]:
        """Where it is from; ``data_pipelines.embeddings.pictures`` finds pictures by it."""
        ...

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """All items in order, one for each row.

        Raises:
            DataError: the whole part cannot be read.
        """
        ...


def part_ranges(count: int, most: int | None, *, parts: int) -> list[tuple[int, int]]:
    """Ranges of nearly equal length that cover ``count`` rows.

    Args:
        most: rows of each at most; None: about so many ``parts``, each of 256 to 8,192 rows, so
            that a small set keeps several processes busy and a large one makes few files.
    """
    most = most or min(_MOST_ROWS, max(_LEAST_ROWS, -(-count // parts)))
    number = -(-count // most)
    return [(count * i // number, count * (i + 1) // number) for i in range(number)]
