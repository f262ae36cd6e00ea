"""Divided space-time attention: over the patches of a frame, or over time at one place.

Bain et al. 2021, arXiv 2104.00650, section 3.1, after Bertasius et al. 2021, arXiv 2102.05095. In
both the class token of a clip asks all tokens of all its frames; a patch asks the class token and
either the patches of its own frame ("space") or those at its own place in all frames ("time").

Tokens are one matrix: the class tokens of all clips (none for towers without), then the patches of
all frames, frame by frame.

c = clips, t = frames of all clips, f = frames of a clip, n = patches of a frame, h = heads,
d = width of a head
"""

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from vlsuite.layers.clip_layout import ClipLayout, SameLength

Axis = Literal["space", "time"]


class _Split(NamedTuple):
    """Queries, keys or values: of class tokens [c, h, d], and of patches [t, n, h, d]."""

    classes: Tensor
    patches: Tensor


class SpaceTimeAttention(nn.Module):
    """Multi-head attention along one axis of video.

    Args:
        width: of a token.
        heads: that divide it.
        axis: "space" or "time".
        bias: whether queries, keys and values have one.
        class_token: whether each clip has one.
        log_frames_bias: add log f to the logit of a class token for itself. Its f x n patches
            outweigh it otherwise, so that the embedding of a video that stands still moves with
            the number of frames; with it, it does not. Not in the publication.
    """

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        axis: Axis,
        bias: bool = True,
        class_token: bool = True,
        log_frames_bias: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.axis = axis
        self.class_token = class_token
        self.log_frames_bias = log_frames_bias
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.query_norm: nn.Module = nn.Identity()
        self.key_norm: nn.Module = nn.Identity()
        self.proj = nn.Linear(width, width)

    def forward(
        self, tokens: Float[Tensor, "tokens width"], layout: ClipLayout
    ) -> Float[Tensor, "tokens width"]:
        """What each token takes over from those it attends to; see the module."""
        query, key, value = rearrange(
            self.qkv(tokens), "tokens (three h d) -> three tokens h d", three=3, h=self.heads
        )
        q, k, v = (
            self._split(part, layout)
            for part in (self.query_norm(query), self.key_norm(key), value)
        )
        over = _over_space if self.axis == "space" else _over_time
        mixed = over(q, k, v, layout)
        if self.class_token:
            mixed = torch.cat([self._over_all(q, k, v, layout), mixed])
        return self.proj(mixed.flatten(1))

    def _split(self, rows: Tensor, layout: ClipLayout) -> _Split:
        num_classes = layout.num_clips if self.class_token else 0
        patches = rows[num_classes:].unflatten(0, (layout.total_frames, -1))
        return _Split(rows[:num_classes], patches)

    def _over_all(self, q: _Split, k: _Split, v: _Split, layout: ClipLayout) -> Tensor:
        """Class tokens over all tokens of their clips, [c, h, d]."""
        parts = []
        for group in layout.by_length:
            keys, values = (
                torch.cat(
                    [
                        group.of_clips(part.classes)[:, None],
                        group.of_frames(part.patches).flatten(1, 2),
                    ],
                    dim=1,
                )
                for part in (k, v)
            )
            bias = None
            if self.log_frames_bias and group.num_frames > 1:
                bias = keys.new_zeros(keys.shape[1])
                bias[0] = math.log(group.num_frames)
            query = group.of_clips(q.classes)[:, None]
            parts.append(_attend(query, keys, values, bias=bias).squeeze(1))
        return layout.joined(parts, of_frames=False)


def _over_space(q: _Split, k: _Split, v: _Split, layout: ClipLayout) -> Tensor:
    """Patches over their frame, [t n, h, d]; all frames at once, whatever clip they belong to."""
    keys, values = k.patches, v.patches
    if len(k.classes):
        rows = layout.clip_of_frame
        keys, values = (
            torch.cat([part.classes[rows][:, None], part.patches], dim=1) for part in (k, v)
        )
    return _attend(q.patches, keys, values).flatten(0, 1)


def _over_time(q: _Split, k: _Split, v: _Split, layout: ClipLayout) -> Tensor:
    """Patches over their place in all frames, [t n, h, d]."""
    num_patches = q.patches.shape[1]
    parts = []
    for group in layout.by_length:
        query = _places(group, q.patches)
        keys, values = (_with_classes(group, part) for part in (k, v))
        mixed = _attend(query, keys, values)
        parts.append(rearrange(mixed, "(c n) f h d -> c f n h d", n=num_patches))
    return layout.joined(parts, of_frames=True).flatten(0, 1)


def _places(group: SameLength, patches: Tensor) -> Tensor:
    return rearrange(group.of_frames(patches), "c f n h d -> (c n) f h d")


def _with_classes(group: SameLength, part: _Split) -> Tensor:
    places = _places(group, part.patches)
    if not len(part.classes):
        return places
    repeated = repeat(group.of_clips(part.classes), "c h d -> (c n) 1 h d", n=part.patches.shape[1])
    return torch.cat([repeated, places], dim=1)


def _attend(
    query: Float[Tensor, "rows queries heads head_dim"],
    keys: Float[Tensor, "rows keys heads head_dim"],
    values: Float[Tensor, "rows keys heads head_dim"],
    *,
    bias: Float[Tensor, " keys"] | None = None,
) -> Float[Tensor, "rows queries heads head_dim"]:
    """softmax(q k / sqrt(d) + bias) v."""
    q, k, v = (part.transpose(1, 2) for part in (query, keys, values))
    mask = None if bias is None else bias[None]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
