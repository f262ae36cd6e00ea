"""CoCa at a size for emoji and small sets of pairs: it embeds, and it writes captions."""

from vlsuite.batches.stream import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig, ValidationConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.objectives.coca import CocaObjectiveConfig
from vlsuite.recipes import registry


@registry.register("coca")
def coca() -> TrainConfig:
    """A small CoCa on emoji and their names; any other by --set model.name=coca_ViT-B-32.

    The settings of the recipe "emoji" but for what a decoder needs: pictures are not mirrored,
    since names say left and right. The objective's weights are those of open_clip's training.
    """
    return TrainConfig(
        model=OpenClipConfig(name="vlsuite-coca-mini-48"),
        data=DataConfig(
            num_workers=1,
            augment=AugmentConfig(
                rotation=10.0,
                translation=0.06,
                zoom_out=0.15,
                crop_scale=(0.6, 1.0),
                color_jitter=0.3,
                grayscale_probability=0.2,
                outline_probability=0.5,
            ),
        ),
        objective=CocaObjectiveConfig(),
        optim=OptimConfig(lr=1e-3, warmup_steps=100, weight_decay=0.2, betas=(0.9, 0.98)),
        duration=Duration("22epochs"),
        global_batch_size=128,
        logging=LoggingConfig(every=Duration("20steps")),
        checkpoint=CheckpointConfig(every=Duration("11epochs")),
        validation=ValidationConfig(every=Duration("11epochs")),
    )
