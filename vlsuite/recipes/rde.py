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
    layers), 5 epochs of warm-up at 1,064 steps an epoch of CUHK-PEDES, cosine to zero, no clipping
    of gradients. Their Adam has eps = 1e-3 under a loss summed over the batch; ours is a mean, so
    eps is 1e-3 / 64, which gives the same update.

    Departures from their code (solver/build.py, utils/options.py, datasets/build.py), all of them:

    - AdamW, whose decay of 4e-5 acts on matrices alone; theirs is Adam with 4e-5 added to the
      gradient as L2, on all but biases.
    - biases of the towers learn at the rate of their weights; theirs at twice that rate.
    - the rate changes with every step; theirs with every epoch.
    - warm-up starts at zero; theirs at a tenth of the rate.
    - a random crop of 90 to 100% of the picture, resized; theirs pads 10 pixels and crops. No
      random erasing (theirs: on half of the pictures), and no caption tokens masked, replaced or
      dropped (theirs: a fifth).
    - bf16 beside fp32 masters; theirs fp16 weights without masters or loss scaling.
    - of the objective, see ``RdeConfig`` and ``Rde``.
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
            lr=1e-5,
            betas=(0.9, 0.999),
            eps=1e-3 / 64,
            new_lr_factor=100.0,
            warmup_steps=5320,
            weight_decay=4e-5,
            grad_clip_norm=None,
        ),
        duration=Duration("60epochs"),
        global_batch_size=64,
        precision="bf16",
        logging=LoggingConfig(every=Duration("50steps")),
        checkpoint=CheckpointConfig(every=Duration("1epoch")),
        validation=ValidationConfig(every=Duration("1epoch")),
    )
