"""ViLD: open-vocabulary detection by distillation, at its published size."""

from vlsuite.batches.stream import DataConfig
from vlsuite.engine.config import CheckpointConfig, TrainConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.vild.config import VildConfig
from vlsuite.objectives.vild import VildObjectiveConfig
from vlsuite.recipes import registry


@registry.register("vild")
def vild() -> TrainConfig:
    """ViLD on ResNet-50 with CLIP ViT-B/32 as teacher, for LVIS or COCO on GPUs.

    Gu et al. 2022, arXiv 2104.13921, and the released configs/vild_resnet.yaml: 1024 x 1024 pixels,
    scales 0.1 to 2, temperature 0.01, distillation weight 0.5, synchronised batch norm. Departures:
    AdamW with a cosine (theirs SGD at 0.32 with two steps, which needs batches of 256 for 180,000
    steps), 64 pictures a step, gradients cut at norm 35 (as BARON's).
    """
    return TrainConfig(
        model=VildConfig(
            mode="vild",
            teacher=OpenClipConfig(name="ViT-B-32", pretrained="openai"),
            sizes=(1024,),
        ),
        objective=VildObjectiveConfig(image_weight=0.5),
        data=DataConfig(num_workers=12),
        optim=OptimConfig(
            lr=4e-4, warmup_steps=1000, weight_decay=0.05, betas=(0.9, 0.999), grad_clip_norm=35.0
        ),
        duration=Duration("90000steps"),
        global_batch_size=64,
        sync_batch_norm=True,
        deepspeed="zero1",
        checkpoint=CheckpointConfig(every=Duration("2000steps")),
    )
