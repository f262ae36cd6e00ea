"""How many samples came from where, with which captions, were left out, or had to be mended, over
all processes."""

from collections import Counter
from collections.abc import Sequence

from torch import distributed as dist

from vlsuite.batches.batch import Batch
from vlsuite.batches.caption_columns import column_of
from vlsuite.batches.captioned import CaptionedBatch


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
        self.captions = Counter(stored.get("captions", {}))
        self._new = [Counter() for _ in self._totals]

    @property
    def _totals(self) -> tuple[Counter[str], ...]:
        return self.sources, self.skipped, self.mended, self.captions

    def add(
        self,
        micro_batches: Sequence[Batch],
        source_names: Sequence[str],
        caption_names: Sequence[str] = (),
    ) -> None:
        """Count the batches of one step of this process.

        Args:
            source_names: of data.train.
            caption_names: of data.captions; empty where samples have their own alone.
        """
        sources, skipped, mended, captions = self._new
        for batch in micro_batches:
            sources.update(source_names[number] for number in batch.sources)
            skipped.update(skip.kind for skip in batch.unusable)
            mended.update(batch.mended)
            if caption_names and isinstance(batch, CaptionedBatch):
                captions.update(
                    column_of(number, names=caption_names) for number in batch.caption_numbers
                )

    def merge(self, *, world_size: int) -> None:
        """Join what all processes counted since the last merge; every process calls."""
        parts = [self._new]
        if world_size > 1:
            gathered: list[list[Counter] | None] = [None] * world_size
            dist.all_gather_object(gathered, self._new)
            parts = [part for part in gathered if part is not None]
        for part in parts:
            for total, new in zip(self._totals, part, strict=True):
                total.update(new)
        self._new = [Counter() for _ in self._totals]

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Totals as of the last merge, ready for JSON; empty kinds are left out."""
        names = ("sources", "skipped", "mended", "captions")
        named = dict(zip(names, self._totals, strict=True))
        return {name: dict(sorted(count.items())) for name, count in named.items() if count}
