"""RDE fine-tunes CLIP ViT-B/16 for text-based person search under wrong captions."""

from vlsuite.batches.stream import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig, ValidationConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.dual_encoder.token_selection_config import TokenSelectionConfig
from vlsuite.objectives.rde import RdeConfig
from vlsuite.recipes import registry


@registry.register("rde")
def rde() -> TrainConfig:
    """RDE on CLIP ViT-B/16, 384 x 128 px, for person search; data from 'data build cuhk-pedes'.

    Sizes and schedule of Qin et al. 2024: 60 epochs, batch 64, rate 1e-5 (1e-3 for the new
    layers), 5 epochs of warm-up at 1,064 steps an epoch of CUHK-PEDES, cosine to zero. Departures:
    AdamW instead of Adam with L2, and neither random erasing nor altered caption tokens.
    """
    return TrainConfig(
        model=OpenClipConfig(
            name="ViT-B-16-quickgelu",
            pretrained="openai",
            image_size=384,
            image_width=128,
            token_selection=TokenSelectionConfig(share=0.3, width=1024),
        ),
        data=DataConfig(
            num_workers=8,
            augment=AugmentConfig(
                crop_scale=(0.9, 1.0), crop_ratio=(0.28, 0.4), flip_probability=0.5
            ),
        ),
        objective=RdeConfig(),
        optim=OptimConfig(
            lr=1e-5, betas=(0.9, 0.999), new_lr_factor=100.0, warmup_steps=5320, weight_decay=4e-5
        ),
        duration=Duration("60epochs"),
        global_batch_size=64,
        precision="bf16",
        logging=LoggingConfig(every=Duration("50steps")),
        checkpoint=CheckpointConfig(every=Duration("1epoch")),
        validation=ValidationConfig(every=Duration("1epoch")),
    )
