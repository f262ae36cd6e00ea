"""How far the samples of a run are shuffled: what was asked for, and what it came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data_pipelines.shards.remote import CachedShard
from data_pipelines.shards.shard_set import Shard
from data_pipelines.shards.sliced_order import Window, choose_window
from vlsuite.batches.data_config import DataConfig

#: Of the cache of remote shards, that those mixed at a time may take: as much again is fetched
#: ahead, and a run should not begin with the download of all.
_SHARE_OF_CACHE = 0.2


@dataclass(frozen=True, slots=True)
class Shuffling:
    """The rule of a run's order; a run keeps it as long as its settings ask for the same.

    Attributes:
        asked: ``data.window_shards`` and ``data.window_samples``.
        windows: one for each pool of samples that share epochs; empty for the rule of runs that
            began before windows were a setting (see ``order``).
    """

    asked: tuple[int | None, int]
    windows: tuple[Window, ...]

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint; empty for the old rule, as in checkpoints of that time."""
        if not self.windows:
            return {}
        return {"asked": list(self.asked), "windows": [list(window) for window in self.windows]}


def shuffling_of(config: DataConfig, by_source: Sequence[Sequence[Shard]]) -> Shuffling:
    """What the settings come to for a new run.

    Args:
        by_source: shards of each source.
    """
    pools = by_source if config.weights else [[shard for part in by_source for shard in part]]
    room = _SHARE_OF_CACHE * config.cache_gb * 1e9 / len(pools)
    windows = tuple(
        choose_window(
            len(pool),
            shards=config.window_shards,
            samples=config.window_samples,
            at_most=_fitting(pool, room),
        )
        for pool in pools
    )
    return Shuffling((config.window_shards, config.window_samples), windows)


def continued(stored: Mapping[str, Any], new: Shuffling) -> Shuffling:
    """The rule that a continued run goes on with: its own, unless the settings ask for another.

    Args:
        stored: what ``to_dict`` gave when it was saved; empty in checkpoints of earlier versions.
        new: what the settings come to now.
    """
    if not stored:
        usual = DataConfig()
        is_asked = new.asked != (usual.window_shards, usual.window_samples)
        return new if is_asked else Shuffling(new.asked, ())
    windows = tuple(Window(*window) for window in stored["windows"])
    is_same = tuple(stored["asked"]) == new.asked and len(windows) == len(new.windows)
    return Shuffling(new.asked, windows) if is_same else new


def _fitting(pool: Sequence[Shard], room: float) -> int | None:
    """How many shards fit into so many bytes of the cache; None where nothing is remote."""
    sizes = [shard.stamp.size for shard in pool if isinstance(shard, CachedShard)]
    return int(room / max(1, max(sizes))) if sizes else None
