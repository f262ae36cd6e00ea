"""A tiny CLIP on 32 px photographs with class-name captions."""

from vlsuite.batches.stream import DataConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig, ValidationConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.recipes import registry


@registry.register("cifar10")
def cifar10() -> TrainConfig:
    """For CIFAR-10 as WebDataset shards; give them with --set data.train=DIR."""
    return TrainConfig(
        model=OpenClipConfig(name="vlsuite-tiny-32"),
        data=DataConfig(num_workers=1),
        optim=OptimConfig(lr=1e-3, warmup_steps=100, weight_decay=0.2),
        duration=Duration("10epochs"),
        global_batch_size=256,
        logging=LoggingConfig(every=Duration("10steps")),
        checkpoint=CheckpointConfig(every=Duration("5epochs")),
        validation=ValidationConfig(every=Duration("5epochs")),
    )
