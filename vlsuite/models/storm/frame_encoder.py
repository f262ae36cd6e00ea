"""Frames to tokens: an image tower, tokens of its patches joined, and a linear map.

STORM (arXiv 2503.04130), section 3.1: a ViT, pixel shuffle and a linear projector in front of the
temporal layers. A long video goes through some frames at a time, so what the tower needs for itself
does not grow with the video.

t = frames of all clips, r and c = rows and columns of tokens, w = width, s = downsample
"""

from typing import Any, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vlsuite.errors import ConfigError, ModelError


class FrameTokens(NamedTuple):
    """What is known of each frame by itself.

    Attributes:
        tokens: of the joined patches.
        features: what the image tower says of the frame as an image.
    """

    tokens: Float[Tensor, "frames rows columns width"]
    features: Float[Tensor, "frames embed_dim"]


class FrameEncoder(nn.Module):
    """An image tower and what turns its patches into the tokens of a clip.

    Args:
        image: of open_clip, or of timm as open_clip wraps it.
        grid: rows and columns of its patches.
        image_width: of its tokens.
        image_layer: block whose tokens are taken, from the end; normed as the last one is.
        downsample: s; s x s neighbours are one token, side by side.
        width: of a token.
        frames_at_once: that the tower works on; of no effect on the result.
        grad_checkpointing: compute the tower again in the backward pass, part by part.
    """

    def __init__(
        self,
        image: nn.Module,
        *,
        grid: tuple[int, int],
        image_width: int,
        image_layer: int,
        downsample: int,
        width: int,
        frames_at_once: int,
        grad_checkpointing: bool,
    ) -> None:
        super().__init__()
        self.image = image
        self.image_layer = image_layer
        self.downsample = downsample
        self.rows, self.columns = (side // downsample for side in grid)
        self.project = nn.Linear(image_width * downsample**2, width)
        self._frames_at_once = frames_at_once
        self.grad_checkpointing = grad_checkpointing

    def forward(self, frames: Float[Tensor, "frames 3 height width"]) -> FrameTokens:
        """Tokens and features of every frame."""
        frozen = not any(p.requires_grad for p in self.image.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            patches, features = self._through_tower(frames, is_frozen=frozen)
        return FrameTokens(self.project(patches), features)

    def _through_tower(self, frames: Tensor, *, is_frozen: bool) -> tuple[Tensor, Tensor]:
        """Joined patches [t, r, c, s * s * image width] and features.

        A tower in training sees the frames in the same parts with and without a graph: a step
        that embeds them twice then draws the same dropout masks.
        """
        learns = torch.is_grad_enabled()
        is_whole = learns or (self.training and not is_frozen)
        if is_whole and not self.grad_checkpointing:
            return self._encoded(frames)
        parts = []
        for part in frames.split(self._frames_at_once):
            if learns:
                parts.append(checkpoint(self._encoded, part, use_reentrant=False))
            else:
                parts.append(self._encoded(part))
        patches, features = zip(*parts, strict=True)
        return torch.cat(patches), torch.cat(features)

    def _encoded(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        found = image_tokens(self.image, frames, image_layer=self.image_layer)
        joined = rearrange(
            found["image_intermediates"][-1],
            "t w (r a) (c b) -> t r c (a b w)",
            a=self.downsample,
            b=self.downsample,
        )
        return joined, found["image_features"]


def image_tokens(image: Any, frames: Tensor, *, image_layer: int) -> dict[str, Any]:
    """Tokens of a block as an image [t, w, rows, columns], and the image tower's own features."""
    return image.forward_intermediates(
        frames, indices=[image_layer], normalize_intermediates=True, output_fmt="NCHW"
    )


def freeze_unread(frames: FrameEncoder, size: tuple[int, int]) -> None:
    """Freeze what the tower needs for its own features alone, where nobody reads those.

    Else they would be decayed without ever learning.
    """
    learning = [p for p in frames.image.parameters() if p.requires_grad]
    if learning:
        told = frames(torch.zeros(1, 3, *size)).tokens.sum()
        found = torch.autograd.grad(told, learning, allow_unused=True)
        for parameter, gradient in zip(learning, found, strict=True):
            parameter.requires_grad_(gradient is not None)


def frame_encoder(
    image: nn.Module,
    *,
    name: str,
    size: tuple[int, int],
    image_layer: int,
    downsample: int,
    width: int | None,
    frames_at_once: int,
    grad_checkpointing: bool,
) -> FrameEncoder:
    """The encoder around an image tower, which is tried on two images first.

    Args:
        image: see :class:`FrameEncoder`, with what follows.
        name: of the architecture, for messages.
        size: height and width of its images, pixels.
        width: of a token; None takes that of the tower's.
    Raises:
        ModelError: the tower does not give tokens of patches.
        ConfigError: its patches cannot be joined so.
    """
    tokens = _tried(image, name, size, image_layer)
    image_width, rows, columns = tokens.shape[1:]
    if rows % downsample or columns % downsample:
        raise ConfigError(
            f"model.downsample={downsample} does not divide the {rows} x {columns} patches of "
            f"'{name}'; choose one that does (1 joins none), or another model.image_text.image_size"
        )
    return FrameEncoder(
        image,
        grid=(rows, columns),
        image_width=image_width,
        image_layer=image_layer,
        downsample=downsample,
        width=width or image_width,
        frames_at_once=frames_at_once,
        grad_checkpointing=grad_checkpointing,
    )


def _tried(image: nn.Module, name: str, size: tuple[int, int], image_layer: int) -> Tensor:
    """Tokens of two images, whose features are those that the tower gives by itself."""
    frames = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)) - 0.5
    was_training = image.training
    image.eval()
    try:
        with torch.no_grad():
            found = image_tokens(image, frames, image_layer=image_layer)
            wanted = image(frames)
        tokens, features = found["image_intermediates"][-1], found["image_features"]
        if tokens.ndim != 4:
            raise ValueError(f"tokens of shape {tuple(tokens.shape)}")
        if isinstance(wanted, tuple):
            wanted = wanted[0]
        if not torch.allclose(features, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max())):
            raise ValueError("features beside its tokens differ from its own")
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError, AssertionError) as e:
        raise ModelError(
            f"the image tower of '{name}' gives no tokens of patches "
            f"({' '.join(str(e).split())[:120]}); choose a ViT (ViT-B-16, ViT-B-16-SigLIP...) and "
            "a model.image_layer that it has"
        ) from e
    finally:
        image.train(was_training)
    return tokens
