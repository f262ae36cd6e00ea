"""How many shards the samples of a batch come from: by an order, and by a full shuffle."""

import math
from collections.abc import Callable, Sequence

_SAMPLES_LOOKED_AT = 1 << 14


def distinct_shards(
    shard_at: Callable[[int], int], *, num_samples: int, batch_size: int, num_batches: int = 8
) -> float:
    """Mean number of shards in a batch, over some batches of the first epoch, evenly spaced.

    Args:
        shard_at: the shard that stands at each position.
        num_samples: of an epoch.
        batch_size: samples; that many positions from a multiple of it on are a batch.
        num_batches: looked at, fewer of large ones.
    """
    count = max(1, min(num_batches, num_samples // batch_size, _SAMPLES_LOOKED_AT // batch_size))
    step = max(1, num_samples // batch_size // count)
    found = [
        len({shard_at(number * step * batch_size + i) for i in range(batch_size)})
        for number in range(count)
    ]
    return sum(found) / count


def expected_shards(lengths: Sequence[int], batch_size: int) -> float:
    """Mean number of shards in a batch of a full shuffle of an epoch.

    A shard of n of N samples is missed by a batch of B with the probability C(N-n, B) / C(N, B).

    Args:
        lengths: samples of each shard.
        batch_size: samples; one larger than the epoch counts as the epoch.
    """
    total = sum(lengths)
    size = min(batch_size, total)
    counts = {length: 0 for length in lengths}
    for length in lengths:
        counts[length] += 1
    return sum(
        count * (1 - _share_without(total, length, size))
        for length, count in counts.items()
        if length
    )


def _share_without(total: int, marked: int, drawn: int) -> float:
    """Of all ways to draw ``drawn`` of ``total``, the share that has none of ``marked``."""
    if drawn > total - marked:
        return 0.0
    return math.exp(
        math.lgamma(total - marked + 1)
        - math.lgamma(total - marked - drawn + 1)
        - math.lgamma(total + 1)
        + math.lgamma(total - drawn + 1)
    )
