"""Order in time on two cores: a small Frozen in Time on sprites that move."""

from vlsuite.batches.stream import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig, ValidationConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.frozen_in_time.config import FrozenInTimeConfig
from vlsuite.recipes import registry


@registry.register("motion")
def motion() -> TrainConfig:
    """A small Frozen in Time on moving sprites; data from 'vlsuite data build motion'.

    Nothing is mirrored or turned, since captions say left and right. Random weights, so the
    curriculum begins with what sprites look like: 1, 4, then 8 frames.
    """
    return TrainConfig(
        model=FrozenInTimeConfig(
            image_text=OpenClipConfig(name="vlsuite-mini-48"),
            frames=("1x60000", "4x40000", "8"),
            time_init="drawn",
        ),
        data=DataConfig(num_workers=1, augment=AugmentConfig(crop_scale=(0.8, 1.0))),
        optim=OptimConfig(lr=1e-3, warmup_steps=50, weight_decay=0.1),
        duration=Duration("160000samples"),
        global_batch_size=128,
        logging=LoggingConfig(every=Duration("25steps")),
        checkpoint=CheckpointConfig(every=Duration("250steps")),
        validation=ValidationConfig(every=Duration("160000samples")),
    )
