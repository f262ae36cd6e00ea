"""A video tower made of an image tower: its weights, in blocks that attend over time as well.

Any plain vision transformer of open_clip or timm. The parts are the image tower's own objects, so
what is frozen stays frozen, and the names of its weights in both are found by identity. Whether
the two are the same for a single frame is tried on every model that is built.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from vlsuite.errors import ModelError
from vlsuite.layers.space_time_attention import SpaceTimeAttention
from vlsuite.models.frozen_in_time.block import SpaceTimeBlock, TimeInit, initialise_time
from vlsuite.models.frozen_in_time.pooling import Matrix, MeanOfPatches, Pooling
from vlsuite.models.frozen_in_time.tower import VideoTower

#: Largest difference of a feature of one frame, as a share of the largest one; fp32 sums in
#: another order differ by 1e-6.
_TOLERANCE = 1e-4

#: Embeddings of time that are drawn are as large as what a random tower makes of a patch: three
#: times open_clip's embeddings of places.
_DRAWN_TIMES = 3.0


def video_tower(
    image: nn.Module,
    *,
    name: str,
    size: tuple[int, int],
    max_frames: int,
    time_init: TimeInit,
    log_frames_bias: bool,
) -> VideoTower:
    """The video tower; its parts belonged to the image tower, which is of no more use.

    Args:
        image: ``open_clip.transformer.VisionTransformer``, or ``open_clip.timm_model.TimmModel``
            around a vision transformer of timm.
        name: of the architecture, for messages.
        size: height and width of its images, pixels.
        max_frames: of a clip.
        time_init: see ``block.initialise_time``.
        log_frames_bias: see ``SpaceTimeAttention``.
    Raises:
        ModelError: an image tower of another kind, or one with parts that this does not know.
    """
    frames = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) - 0.5
    was_training = image.training
    image.eval()
    with torch.no_grad():
        wanted = _pooled(image(frames))
    parts = _parts_of(image, name)
    tower = VideoTower(
        max_frames=max_frames,
        blocks=[
            _block(block, name, class_token=parts["class_embed"] is not None, bias=log_frames_bias)
            for block in parts.pop("blocks")
        ],
        **parts,
    )
    tower.eval()
    _check(tower, frames, wanted, name)
    for block in tower.blocks:
        assert isinstance(block, SpaceTimeBlock)
        initialise_time(block.time, time_init)
    if time_init == "drawn":
        nn.init.normal_(tower.times, std=_DRAWN_TIMES * tower.times.shape[1] ** -0.5)
    return tower.train(was_training)


def _check(tower: VideoTower, frames: Tensor, wanted: Tensor, name: str) -> None:
    try:
        with torch.no_grad():
            found = tower(frames)
        difference = float((found - wanted).abs().max() / wanted.abs().max())
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _unfit(name, " ".join(str(error).split())[:160]) from error
    # weights that hold NaN are refused by training and evaluation themselves
    if difference > _TOLERANCE:
        raise _unfit(name, f"features of one frame differ by {difference:.1e} of the largest")


def _unfit(name: str, reason: str) -> ModelError:
    return ModelError(
        f"the image tower of '{name}' cannot attend over time here ({reason}); choose a plain ViT "
        "(ViT-B-16, ViT-B-16-SigLIP...), or set model.over_time=mean"
    )


def _pooled(found: Any) -> Tensor:
    return found[0] if isinstance(found, tuple) else found


def _parts_of(image: nn.Module, name: str) -> dict[str, Any]:
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer
    from timm.models.vision_transformer import VisionTransformer as TimmTransformer

    if isinstance(image, VisionTransformer):
        return _of_open_clip(image, name)
    if isinstance(image, TimmModel) and isinstance(image.trunk, TimmTransformer):
        return _of_timm(image.trunk, image.head, name)
    kind = type(getattr(image, "trunk", image)).__name__
    raise _unfit(name, f"it is a {kind}, no vision transformer")


def _of_open_clip(image: Any, name: str) -> dict[str, Any]:
    if image.attn_pool is not None or image.pool_type not in ("tok", "avg"):
        raise _unfit(name, "it pools by attention")
    before, after = (image.ln_post, nn.Identity())
    if image.final_ln_after_pool:
        before, after = after, before
    return {
        "patch_embed": image.conv1,
        "class_embed": image.class_embedding,
        "positions": image.positional_embedding,
        "width": image.conv1.out_channels,
        "norm_pre": image.ln_pre,
        "blocks": list(image.transformer.resblocks),
        "pooling": Pooling(
            class_token=True,
            norm=before,
            of_patches=MeanOfPatches() if image.pool_type == "avg" else None,
            norm_pooled=after,
            project=nn.Identity() if image.proj is None else Matrix(image.proj),
        ),
    }


def _of_timm(trunk: Any, head: nn.Module, name: str) -> dict[str, Any]:
    if trunk.reg_token is not None or trunk.global_pool not in ("token", "avg", "map"):
        raise _unfit(name, f"register tokens or pooling by '{trunk.global_pool}'")
    of_patches = None
    if trunk.global_pool == "map":
        of_patches = trunk.attn_pool
    elif trunk.global_pool == "avg":
        of_patches = MeanOfPatches()
    return {
        "patch_embed": trunk.patch_embed.proj,
        "class_embed": trunk.cls_token,
        "positions": trunk.pos_embed,
        "width": trunk.embed_dim,
        "norm_pre": trunk.norm_pre,
        "blocks": list(trunk.blocks),
        "pooling": Pooling(
            class_token=trunk.cls_token is not None,
            norm=trunk.norm,
            of_patches=of_patches,
            norm_pooled=trunk.fc_norm,
            project=nn.Sequential(trunk.head, head),
        ),
    }


def _block(block: Any, name: str, *, class_token: bool, bias: bool) -> SpaceTimeBlock:
    """A block of either library; both attend, scale, and go through an MLP, under other names."""
    if isinstance(block.attn, nn.MultiheadAttention):
        attention, (norm, scale), (norm_mlp, scale_mlp) = (
            block.attn,
            (block.ln_1, block.ls_1),
            (block.ln_2, block.ls_2),
        )
        weights = (attention.in_proj_weight, attention.in_proj_bias)
        last = attention.out_proj
    elif hasattr(block, "norm1") and hasattr(getattr(block, "attn", None), "qkv"):
        attention, (norm, scale), (norm_mlp, scale_mlp) = (
            block.attn,
            (block.norm1, block.ls1),
            (block.norm2, block.ls2),
        )
        weights = (attention.qkv.weight, attention.qkv.bias)
        last = attention.proj
    else:
        raise _unfit(name, f"blocks of the kind {type(block).__name__}")
    if last is None or weights[0] is None:
        raise _unfit(name, "queries, keys and values of different widths")
    width, heads = last.out_features, attention.num_heads
    space, time = (
        SpaceTimeAttention(
            width,
            heads=heads,
            axis=axis,
            bias=weights[1] is not None,
            class_token=class_token,
            log_frames_bias=bias,
        )
        for axis in ("space", "time")
    )
    space.qkv.weight, space.qkv.bias = weights
    space.proj = last
    space.query_norm = getattr(attention, "q_norm", space.query_norm)
    space.key_norm = getattr(attention, "k_norm", space.key_norm)
    nn.init.zeros_(time.proj.weight)
    nn.init.zeros_(time.proj.bias)
    return SpaceTimeBlock(
        norm_time=_trainable_copy(norm),
        time=time,
        norm_space=norm,
        space=space,
        scale_space=scale,
        norm_mlp=norm_mlp,
        mlp=block.mlp,
        scale_mlp=scale_mlp,
    )


def _trainable_copy(norm: nn.Module) -> nn.Module:
    return copy.deepcopy(norm).requires_grad_(True)
