"""CLIP ViT-B/32 on web pairs, as LAION-400M models were trained."""

from vlsuite.batches.stream import DataConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig, ValidationConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.recipes import registry


@registry.register("clip_vit_b32")
def clip_vit_b32() -> TrainConfig:
    """ViT-B/32 at 224 px, global batch 32,768, 32 epochs, bf16 (open_clip's LAION-400M run)."""
    return TrainConfig(
        model=OpenClipConfig(name="ViT-B-32"),
        data=DataConfig(num_workers=8, caption="first"),
        optim=OptimConfig(lr=5e-4, warmup_steps=2000, weight_decay=0.2, grad_clip_norm=None),
        duration=Duration("32epochs"),
        global_batch_size=32_768,
        precision="bf16",
        deepspeed="zero1",
        logging=LoggingConfig(every=Duration("50steps")),
        checkpoint=CheckpointConfig(every=Duration("1000steps"), keep=3),
        validation=ValidationConfig(every=Duration("1epoch")),
    )
