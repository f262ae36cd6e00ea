"""SigLIP ViT-B/16 on web pairs."""

from vlsuite.batches.stream import DataConfig
from vlsuite.engine.config import CheckpointConfig, LoggingConfig, TrainConfig
from vlsuite.engine.duration import Duration
from vlsuite.engine.optim import OptimConfig
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.objectives.siglip import SiglipConfig
from vlsuite.recipes import registry


@registry.register("siglip_vit_b16")
def siglip_vit_b16() -> TrainConfig:
    """ViT-B/16 at 224 px with the sigmoid loss (Zhai et al. 2023), global batch 32,768."""
    return TrainConfig(
        model=OpenClipConfig(name="ViT-B-16"),
        data=DataConfig(num_workers=8, caption="first"),
        objective=SiglipConfig(),
        optim=OptimConfig(
            lr=1e-3, betas=(0.9, 0.95), warmup_steps=20_000, weight_decay=1e-4, schedule="rsqrt"
        ),
        duration=Duration("3e9samples"),
        global_batch_size=32_768,
        precision="bf16",
        deepspeed="zero1",
        logging=LoggingConfig(every=Duration("50steps")),
        checkpoint=CheckpointConfig(every=Duration("1000steps"), keep=3),
    )
