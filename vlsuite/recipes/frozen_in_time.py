"""Frozen in Time at its published size."""

from vlsuite.batches.stream import DataConfig
from vlsuite.batches.transforms import AugmentConfig
from vlsuite.engine.config import TrainConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.frozen_in_time.config import FrozenInTimeConfig
from vlsuite.recipes import registry


@registry.register("frozen_in_time")
def frozen_in_time() -> TrainConfig:
    """Videos and images with captions, first one frame a clip, then four (Frozen in Time).

    Bain et al. 2021, arXiv 2104.00650, on WebVid-2M and CC3M: AdamW at a constant rate of 3e-5,
    batch 96, one frame to convergence and four frames for a tenth of that. Departures: the towers
    start from a trained CLIP (the authors': an ImageNet ViT-B/16 and DistilBERT), the logit scale
    is learned (theirs is 1 / 0.05), the loss is the mean of both directions (theirs the sum),
    images and videos share every batch (theirs alternate), no early stop on the test set, and the
    rate falls by a cosine.
    """
    return TrainConfig(
        model=FrozenInTimeConfig(
            image_text=OpenClipConfig(name="ViT-B-16", pretrained="openai"),
            frames=("1x10000000", "4"),
        ),
        data=DataConfig(
            num_workers=8,
            augment=AugmentConfig(crop_scale=(0.5, 1.0), flip_probability=0.5),
        ),
        optim=OptimConfig(lr=3e-5, warmup_steps=500, weight_decay=0.01, new_lr_factor=10.0),
        duration=Duration("11000000samples"),
        global_batch_size=96,
    )
