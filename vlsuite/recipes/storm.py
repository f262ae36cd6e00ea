"""STORM at the sizes of a published image tower."""

from vlsuite.batches.stream import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.storm.config import StormConfig
from vlsuite.models.storm.reduction import Reduction
from vlsuite.recipes import registry


@registry.register("storm")
def storm() -> TrainConfig:
    """Long videos with captions by temporal Mamba layers, a quarter of the tokens kept (STORM).

    Jiang et al. 2025, arXiv 2503.04130: 32 frames, then 128 with a mean over four. Departures: a
    reader that is trained by contrast in place of the language model, a SigLIP tower of open_clip
    (theirs is of PaliGemma at 448 pixels), the mean over four frames from the start, and rates and
    batch of our own, for the paper tells neither. A small one on moving sprites: recipe motion with
    --set model=storm.
    """
    return TrainConfig(
        model=StormConfig(
            image_text=OpenClipConfig(
                name="ViT-B-16-SigLIP", pretrained="webli", grad_checkpointing=True
            ),
            frames=("8x2000000", "32x1000000", "128"),
            reduction=Reduction(temporal_pool=4),
        ),
        data=DataConfig(num_workers=8, augment=AugmentConfig(crop_scale=(0.5, 1.0))),
        optim=OptimConfig(lr=1e-5, warmup_steps=500, weight_decay=0.01, new_lr_factor=20.0),
        duration=Duration("3200000samples"),
        global_batch_size=64,
    )
