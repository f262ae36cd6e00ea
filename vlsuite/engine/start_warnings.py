"""What a run's settings make of its training set that nobody may have meant, said at the start."""

from collections.abc import Iterator

from vlsuite.engine.config import TrainConfig


def start_warnings(config: TrainConfig, *, total_steps: int, num_samples: int) -> Iterator[str]:
    """A line for each trap; none where all is usual.

    Args:
        config: of the run.
        total_steps: optimizer updates of the whole run.
        num_samples: of the training set.
    """
    warmup = config.optim.warmup_steps
    if total_steps and warmup >= total_steps:
        yield (
            f"the warm-up ({warmup:,} steps) is as long as the run ({total_steps:,} steps) or "
            f"longer: the learning rate rises until it reaches {config.optim.lr:g} at the last "
            "step, and never falls; set optim.warmup_steps to about a tenth of the run"
        )
    if config.global_batch_size > num_samples:
        yield (
            f"the global batch ({config.global_batch_size:,}) is larger than the training set "
            f"({num_samples:,} samples): every batch repeats pairs; set global_batch_size lower"
        )
