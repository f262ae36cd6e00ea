"""Video models of some thousand weights, and clips of noise."""

from collections.abc import Callable
from typing import Any

import torch
from open_clip.timm_model import TimmModel
from open_clip.transformer import LayerNorm, VisionTransformer
from torch import nn

from tests.support.words import CONTEXT_LENGTH, word_tokenizer_folder
from vlsuite.models.dual_encoder.config import OpenClipConfig
from vlsuite.models.frozen_in_time.config import FrozenInTimeConfig
from vlsuite.models.frozen_in_time.from_image_tower import video_tower
from vlsuite.models.frozen_in_time.tower import VideoTower
from vlsuite.models.video_text.trainable import TrainableVideoText

SIDE = 32  # pixels


_PLAIN: dict[str, Any] = {
    "image_size": SIDE, "patch_size": 8, "width": 32, "layers": 2, "heads": 2, "mlp_ratio": 2.0,
    "output_dim": 16, "norm_layer": LayerNorm,
}  # fmt: skip
_TIMM: dict[str, Any] = {"img_size": SIDE, "patch_size": 8, "embed_dim": 32, "depth": 2}

_TOWERS: dict[str, Callable[[], nn.Module]] = {
    "class token": lambda: VisionTransformer(**_PLAIN),
    "mean of patches": lambda: VisionTransformer(
        **_PLAIN, pool_type="avg", final_ln_after_pool=True
    ),
    "layer scale": lambda: VisionTransformer(**_PLAIN, ls_init_value=0.3, no_ln_pre=True),
    "timm, class token": lambda: timm_tower("token", **_TIMM),
    "timm, mean": lambda: timm_tower("avg", **_TIMM),
    "timm, attention pooling without class token": lambda: timm_tower(
        "map", class_token=False, **_TIMM
    ),
    "timm, normed queries": lambda: timm_tower("token", qk_norm=True, no_embed_class=True, **_TIMM),
}

#: Every kind that can be extended, by what is special about it.
KINDS = tuple(_TOWERS)


def image_tower(kind: str) -> nn.Module:
    """A small one of a kind, always with the same weights."""
    torch.manual_seed(0)
    return _TOWERS[kind]()


def timm_tower(pool: str, **settings: Any) -> nn.Module:
    """A vision transformer of timm as open_clip wraps it."""
    from timm.models.vision_transformer import VisionTransformer as TimmTransformer

    with torch.device("meta"):  # its trunk is replaced: no weights need to be drawn
        wrapped = TimmModel("vit_tiny_patch16_224", 16, image_size=SIDE, pool="token", proj="none")
    trunk = TimmTransformer(num_heads=2, num_classes=16, global_pool=pool, **settings)
    wrapped.trunk = trunk
    return spread(wrapped)


def spread(module: nn.Module, size: float = 0.1) -> nn.Module:
    """Weights large enough that everything makes a difference."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return module


def tiny_tower(kind: str = "class token", *, max_frames: int = 8, **changes: Any) -> VideoTower:
    """A video tower with weights of time that are not zero."""
    settings: dict[str, Any] = {"time_init": "identity", "log_frames_bias": False} | changes
    tower = video_tower(
        spread(image_tower(kind)),
        name=kind,
        size=(SIDE, SIDE),
        max_frames=max_frames,
        **settings,
    )
    torch.manual_seed(1)
    spread(tower)
    return tower.eval()


def clips(count: int, num_frames: int, *, seed: int = 0) -> torch.Tensor:
    """Noise, [count, num_frames, 3, SIDE, SIDE]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, num_frames, 3, SIDE, SIDE, generator=generator)


def tiny_video_model(*, seed: int = 0, **changes: Any) -> TrainableVideoText:
    """Both towers, with random weights."""
    torch.manual_seed(seed)
    words = {"tokenizer": str(word_tokenizer_folder()), "context_length": CONTEXT_LENGTH}
    image_text = OpenClipConfig(name="vlsuite-micro-32", **words)
    return FrozenInTimeConfig(image_text=image_text, **({"frames": ("4",)} | changes)).build()
