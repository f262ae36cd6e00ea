"""The demo: a small CLIP learned from emoji and their names, on two CPU cores in minutes."""

from vlsuite.batches.stream import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig, ValidationConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.recipes import registry


@registry.register("emoji")
def emoji() -> TrainConfig:
    """A small CLIP on emoji and their names; data from 'vlsuite data build emoji'."""
    return TrainConfig(
        model=OpenClipConfig(name="vlsuite-mini-48"),
        data=DataConfig(
            num_workers=1,
            augment=AugmentConfig(
                rotation=10.0,
                translation=0.06,
                zoom_out=0.15,
                crop_scale=(0.6, 1.0),
                flip_probability=0.5,
                color_jitter=0.3,
                grayscale_probability=0.2,
                outline_probability=0.5,
            ),
        ),
        optim=OptimConfig(lr=1e-3, warmup_steps=100, weight_decay=0.2, betas=(0.9, 0.98)),
        duration=Duration("22epochs"),
        global_batch_size=128,
        logging=LoggingConfig(every=Duration("20steps")),
        checkpoint=CheckpointConfig(every=Duration("11epochs")),
        validation=ValidationConfig(every=Duration("11epochs")),
    )
