"""Clips as evaluations hand them over, as the frames that an encoder of clips takes."""

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from vlsuite.batches.transforms import normalise
from vlsuite.errors import ConfigError


def frames_of(
    clips: UInt8[Tensor, "..."],
    *,
    name: str,
    size: tuple[int, int],
    mean: Tensor,
    std: Tensor,
    device: torch.device,
    dtype: torch.dtype,
) -> Float[Tensor, "total_frames 3 height width"]:
    """All frames, one clip after the other, normalised, on the device.

    Args:
        clips: [clips, frames, 3, height, width], 0 to 255.
        name: of the model, for messages.
        size: height and width of its pictures.
        mean, std: of its channels, on the device.
    Raises:
        ConfigError: clips of another shape.
    """
    height, width = size
    if clips.ndim != 5 or clips.shape[2:] != (3, height, width):
        raise ConfigError(
            f"clips have the shape {tuple(clips.shape)}; {name} takes [clips, frames, 3, "
            f"{height}, {width}], frames as image_transform makes them"
        )
    moved = rearrange(clips.to(device, non_blocking=True), "b f c h w -> (b f) c h w")
    return normalise(moved, mean=mean, std=std, dtype=dtype)
