"""How often a run passes through each of its sources."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.sequence import BLOCK, block_quotas
from vlsuite.errors import ConfigError


class SourcePart(NamedTuple):
    """What a run takes of a source.

    Attributes:
        name: short.
        share: of all samples that are drawn, as the sequence gives it.
        passes: through its samples, in the whole run.
    """

    name: str
    share: float
    passes: float


def parts_of_run(config: DataConfig, shards: PairShards, *, total_samples: int) -> list[SourcePart]:
    """Each source's part, in the order of data.train.

    Args:
        total_samples: that the run sees.
    """
    sizes = [sum(lengths) for lengths in shards.lengths]
    if config.weights:
        shares = [quota / BLOCK for quota in block_quotas(config.weights)]
    else:
        shares = [size / max(1, sum(sizes)) for size in sizes]
    return [
        SourcePart(name, share, share * total_samples / max(1, size))
        for name, share, size in zip(shards.source_names, shares, sizes, strict=True)
    ]


def check_passes(parts: Sequence[SourcePart], *, most: float | None, total_samples: int) -> None:
    """Refuse a run that repeats a source more often than it may (``data.max_passes``).

    Args:
        parts: of the run.
        most: passes through any source; None: any number.
        total_samples: that the run sees.
    Raises:
        ConfigError: a source would be passed through more often.
    """
    worst = max(parts, key=lambda part: part.passes)
    if most is None or worst.passes <= most:
        return
    fitting = int(total_samples * most / worst.passes)
    raise ConfigError(
        f"this run would pass {worst.passes:.1f} times through {worst.name}, and data.max_passes "
        f"is {most:g}; lower its share in data.weights, or set duration={fitting}samples or less"
    )


def mixing_lines(parts: Sequence[SourcePart]) -> Iterator[str]:
    """What the start of a run with several sources says about them."""
    if len(parts) > 1:
        told = ", ".join(f"{p.name} {p.share:.1%} ({p.passes:.2g} passes)" for p in parts)
        yield f"sources of the samples: {told}"
