"""ViLD on two cores: a single-level GroupNorm detector on scenes of sprites."""

from vlsuite.batches.stream import DataConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.vild.config import VildConfig
from vlsuite.models.vild.settings import (
    HeadSettings,
    NetworkSettings,
    ProposalSettings,
    TrunkSettings,
    ViewSettings,
)
from vlsuite.objectives.vild import VildObjectiveConfig
from vlsuite.recipes import registry


@registry.register("vild_small")
def vild_small() -> TrainConfig:
    """A detector of 8 million weights for pictures of 128 pixels, trained on CPU.

    With mode=ensemble it has 12 million.

    Train a localizer first (model.mode=supervised), embed regions with it ('vlsuite data
    region-embeddings'), then train what names regions on it: model.localizer=RUN
    model.frozen=localizer model.mode=vild model.regions=FOLDER. All numbers are our own.
    """
    return TrainConfig(
        model=VildConfig(
            mode="supervised",
            sizes=(128,),
            view=ViewSettings(scale=(0.7, 1.3)),
            network=NetworkSettings(
                trunk=TrunkSettings(kind="small", norm="group", width=128),
                proposals=ProposalSettings(
                    anchor_sizes=(16.0, 32.0, 64.0),
                    train=200,
                    test=200,
                    before_nms=600,
                    regions_per_picture=64,
                    anchors_per_picture=128,
                ),
                heads=HeadSettings(
                    convs=0, layers=2, width=512, separate=True, masks=False,
                    mask_convs=2, mask_width=64,
                ),
            ),
        ),
        objective=VildObjectiveConfig(image_weight=0.5),
        data=DataConfig(num_workers=1),
        optim=OptimConfig(lr=1e-3, warmup_steps=100, weight_decay=0.05, betas=(0.9, 0.999)),
        duration=Duration("1200steps"),
        global_batch_size=16,
        logging=LoggingConfig(every=Duration("25steps")),
        checkpoint=CheckpointConfig(every=Duration("200steps")),
    )  # fmt: skip
