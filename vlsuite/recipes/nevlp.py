"""NEVLP at a size for emoji and small sets of pairs: frozen CLIP, bridge, frozen language model."""

from vlsuite.batches.stream import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig, ValidationConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.nevlp.config import NevlpConfig
from vlsuite.models.nevlp.querying_transformer import QueryingConfig
from vlsuite.objectives.nevlp import NevlpObjectiveConfig
from vlsuite.objectives.nitc import NitcConfig
from vlsuite.objectives.pair_division import DivisionConfig
from vlsuite.recipes import registry


@registry.register("nevlp")
def nevlp() -> TrainConfig:
    """A bridge between --set model.image_tower.name=local-dir:RUN/export and a language model."""
    return TrainConfig(
        model=NevlpConfig(
            querying=QueryingConfig(num_queries=8, width=128, depth=2, heads=4),
            embed_dim=128,
            mining_scale=5.0,  # nearly equal emoji are too hard for a head that starts from nothing
        ),
        data=DataConfig(
            num_workers=1,
            augment=AugmentConfig(
                rotation=10.0, translation=0.06, crop_scale=(0.7, 1.0), flip_probability=0.5
            ),
        ),
        objective=NevlpObjectiveConfig(
            itc=NitcConfig(division=DivisionConfig(warmup_epochs=1.0, fit_every=0.5))
        ),
        optim=OptimConfig(lr=2e-3, warmup_steps=50, weight_decay=0.05, betas=(0.9, 0.98)),
        duration=Duration("10epochs"),
        global_batch_size=64,
        logging=LoggingConfig(every=Duration("20steps")),
        checkpoint=CheckpointConfig(every=Duration("5epochs")),
        validation=ValidationConfig(every=Duration("5epochs")),
    )
