"""How many samples came from where, were left out, or had to be mended, over all processes."""

from collections import Counter
from collections.abc import Sequence

from torch import distributed as dist

from vlsuite.batches.batch import Batch


class StreamCounts:
    """Counts of the whole run; each process adds its own batches, ``merge`` joins them.

    Args:
        stored: what ``to_dict`` gave, of a run that continues.
    """

    def __init__(self, stored: dict[str, dict[str, int]] | None = None) -> None:
        stored = stored or {}
        self.sources = Counter(stored.get("sources", {}))
        self.skipped = Counter(stored.get("skipped", {}))
        self.mended = Counter(stored.get("mended", {}))
        self._new = [Counter(), Counter(), Counter()]

    def add(self, micro_batches: Sequence[Batch], source_names: Sequence[str]) -> None:
        """Count the batches of one step of this process."""
        sources, skipped, mended = self._new
        for batch in micro_batches:
            sources.update(source_names[number] for number in batch.sources)
            skipped.update(skip.kind for skip in batch.unusable)
            mended.update(batch.mended)

    def merge(self, *, world_size: int) -> None:
        """Join what all processes counted since the last merge; every process calls."""
        parts = [self._new]
        if world_size > 1:
            gathered: list[list[Counter] | None] = [None] * world_size
            dist.all_gather_object(gathered, self._new)
            parts = [part for part in gathered if part is not None]
        for part in parts:
            for total, new in zip((self.sources, self.skipped, self.mended), part, strict=True):
                total.update(new)
        self._new = [Counter(), Counter(), Counter()]

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Totals as of the last merge, ready for JSON; empty kinds are left out."""
        named = {"sources": self.sources, "skipped": self.skipped, "mended": self.mended}
        return {name: dict(sorted(count.items())) for name, count in named.items() if count}
