"""What one forward pass gets: where its samples come from, and whatever its family adds."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """One sample that could not be used, and why; another stands in its place.

    ``kind`` is the same for all like cases, for counting. ``stand_in`` marks one that was tried in
    place of another: it has a place of its own elsewhere in the epoch, where it is counted.
    """

    uid: str
    shard: str
    kind: str
    reason: str
    stand_in: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One micro-batch of this process; a family's own batch adds tensors to these facts.

    Attributes:
        uids: permanent ids, by row.
        sources: position of each sample's source in the config, by row.
        skipped: samples that were replaced while this batch was made.
        mended: one entry for each thing about its samples that was put right while reading
            ("EXIF rotation", "caption not UTF-8"), for counting.
    """

    uids: tuple[str, ...]
    sources: tuple[int, ...]
    skipped: tuple[Skipped, ...] = field(default=())
    mended: tuple[str, ...] = field(default=())

    @property
    def unusable(self) -> tuple[Skipped, ...]:
        """Skipped samples at their own places: each once an epoch."""
        return tuple(skip for skip in self.skipped if not skip.stand_in)

    def __len__(self) -> int:
        return len(self.uids)

    def pin_memory(self) -> "Batch":
        """Page-locked tensors, so that copies to the device overlap with compute."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: _pinned(value) for name, value in values.items()})


def _pinned(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.pin_memory()
    if isinstance(value, tuple | list) and any(isinstance(part, Tensor) for part in value):
        return type(value)(_pinned(part) for part in value)
    return value
