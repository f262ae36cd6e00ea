"""Captions with their pictures, in portions that a process takes at a time."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from eval.xmai.detections import Detection
from eval.xmai.records import PerturbedCaption


class CaptionRow(NamedTuple):
    """One caption to perturb.

    Attributes:
        uid: of its picture.
        number: which of the picture's captions, from 0.
        text: the caption.
        label: what it is to the picture, where that is known.
        picture: place of the picture in the chunk.
        seen: what was detected in the picture.
    """

    uid: str
    number: int
    text: str
    label: str | None
    picture: int
    seen: tuple[Detection, ...]


class Chunk(NamedTuple):
    """Consecutive pictures with all their captions.

    Attributes:
        rows: in input order.
        pictures: encoded; empty bytes where there is none or it cannot be read.
    """

    rows: tuple[CaptionRow, ...]
    pictures: tuple[bytes, ...]


@runtime_checkable
class CaptionSource(Protocol):
    """Captioned pictures by number; can be sent to another process."""

    @property
    def description(self) -> dict[str, Any]:
        """Name and revision, for the header."""
        ...

    def __len__(self) -> int:
        """Pictures."""
        ...

    def chunk(self, start: int, stop: int, *, with_pictures: bool) -> Chunk:
        """Pictures ``start`` to ``stop``; without pictures their bytes are left empty."""
        ...


@runtime_checkable
class Method(Protocol):
    """Perturbs the captions of a chunk."""

    @property
    def models(self) -> dict[str, dict[str, str]]:
        """Name and fingerprint of every model by its role, for the header."""
        ...

    @property
    def needs_pictures(self) -> bool:
        """Whether it looks at them."""
        ...

    def perturb(self, chunk: Chunk) -> Sequence[PerturbedCaption]:
        """One record a row, in their order; the same ones each time."""
        ...
