"""What the start of a run says about how well its samples are shuffled."""

from data_pipelines.shards.spread import distinct_shards, expected_shards
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.sequence import SampleSequence
from vlsuite.batches.shuffling import Shuffling
from vlsuite.engine.config import TrainConfig


def shuffling_line(config: TrainConfig, shards: PairShards, shuffling: Shuffling) -> str:
    """How many shards are mixed, and how many a batch has samples of, beside a full shuffle.

    Args:
        shuffling: the rule of the run's order.
    """
    data, batch_size = config.data, config.global_batch_size
    sequence = SampleSequence(
        shards.lengths,
        seed=config.seed,
        weights=data.weights,
        windows=shuffling.windows,
        resample=data.resample,
        global_batch_size=batch_size,
        drop_tail=data.drop_tail,
    )
    found = distinct_shards(
        lambda position: sequence(position).shard,
        num_samples=shards.num_samples,
        batch_size=batch_size,
    )
    figures = (
        f"a batch of {batch_size:,} has samples of {found:.1f} of {shards.num_shards:,} shards "
        f"(a full shuffle: {_full_shuffle(config, shards):.1f})"
    )
    if data.resample:
        return f"samples are drawn one by one (data.resample): {figures}"
    if not shuffling.windows:
        return (
            f"shuffled as when this run began, ten shards at a time: {figures}; new runs mix more, "
            "data.window_shards changes this one"
        )
    pools = shards.lengths if data.weights else [[n for part in shards.lengths for n in part]]
    mixed = sum(
        len(pool) // window.num_groups(len(pool))
        for pool, window in zip(pools, shuffling.windows, strict=True)
    )
    return (
        f"shuffled in windows of {shuffling.windows[0].samples:,} samples, {mixed:,} shards at a "
        f"time: {figures}"
    )


def _full_shuffle(config: TrainConfig, shards: PairShards) -> float:
    weights = config.data.weights
    if not weights:
        every = [length for part in shards.lengths for length in part]
        return expected_shards(every, config.global_batch_size)
    shares = [weight / sum(weights) for weight in weights]
    return sum(
        expected_shards(part, round(share * config.global_batch_size))
        for part, share in zip(shards.lengths, shares, strict=True)
    )
