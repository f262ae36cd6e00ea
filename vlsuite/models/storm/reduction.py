"""How many of a clip's tokens are kept: means over time, means over space, every s-th frame.

STORM (arXiv 2503.04130), section 3.2, where it stands behind the temporal layers, so that a token
that is kept knows of those that are not. Each way works alone and with the others, in this order.

b = clips, f = frames of the longest clip, p = frames after the mean over time, k = frames kept,
r and c = rows and columns of a frame's tokens, w = width
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from vlsuite.errors import ConfigError

_Count = TypeVar("_Count", int, Tensor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reduction:
    """What of a clip's tokens is kept; 1 keeps all. All three can be changed after training.

    Attributes:
        temporal_pool: mean over so many consecutive frames (4 in the paper); the last ones of a
            clip, if fewer, are a mean of their own.
        spatial_pool: mean over cells of so many rows and columns of a frame (2 in the paper: 256
            tokens to 64); cells at the edge hold what is there.
        sample_every: of so many frames, after the mean over time, the middle one (2 in the paper,
            without training).
    """

    temporal_pool: int = 1
    spatial_pool: int = 1
    sample_every: int = 1

    def __post_init__(self) -> None:
        for name in ("temporal_pool", "spatial_pool", "sample_every"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"model.reduction.{name}={getattr(self, name)} must be 1 (off) or more"
                )

    def changed(
        self,
        *,
        sample_every: int | None = None,
        temporal_pool: int | None = None,
        spatial_pool: int | None = None,
    ) -> "Reduction":
        """The same with other numbers; what is None stays.

        Raises:
            ConfigError: a number below 1.
        """
        return Reduction(
            temporal_pool=self.temporal_pool if temporal_pool is None else temporal_pool,
            spatial_pool=self.spatial_pool if spatial_pool is None else spatial_pool,
            sample_every=self.sample_every if sample_every is None else sample_every,
        )

    def frames_kept(self, num_frames: int) -> int:
        """Of a clip of that many frames."""
        return _parts(_parts(num_frames, self.temporal_pool), self.sample_every)

    def tokens_kept(self, num_frames: int, *, rows: int, columns: int) -> int:
        """Of a clip of that many frames, each with that many rows and columns of tokens."""
        cells = _parts(rows, self.spatial_pool) * _parts(columns, self.spatial_pool)
        return self.frames_kept(num_frames) * cells


class KeptTokens(NamedTuple):
    """The tokens of clips that a head sees.

    Attributes:
        tokens: in order of time, row by row within a frame.
        times: of each in its clip, 0 (begin) to 1 (end): the mean middle of its frames.
        is_there: False for what fills up shorter clips; None where all are equally long.
    """

    tokens: Float[Tensor, "clips kept width"]
    times: Float[Tensor, "clips kept"]
    is_there: Bool[Tensor, "clips kept"] | None


def reduce_tokens(
    tokens: Float[Tensor, "clips frames rows columns width"],
    num_frames: Int64[Tensor, " clips"],
    reduction: Reduction,
) -> KeptTokens:
    """The tokens that are kept of clips of any length.

    Args:
        tokens: those of shorter clips are followed by anything, which has no effect.
        num_frames: of each clip, on the device of the tokens.
    """
    places = torch.arange(tokens.shape[1], device=tokens.device)
    times = (places + 0.5) / num_frames[:, None]
    tokens, times, lengths = _mean_over_time(tokens, times, num_frames, reduction.temporal_pool)
    tokens = _mean_over_space(tokens, reduction.spatial_pool)
    tokens, times, lengths = _every(tokens, times, lengths, reduction.sample_every)
    cells = tokens.shape[2] * tokens.shape[3]
    is_there = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
    return KeptTokens(
        rearrange(tokens, "b k r c w -> b (k r c) w"),
        repeat(times, "b k -> b (k cells)", cells=cells),
        repeat(is_there, "b k -> b (k cells)", cells=cells),
    )


class _Frames(NamedTuple):
    """Clips with the time of each of their frames, and how many there are."""

    tokens: Float[Tensor, "clips frames rows columns width"]
    times: Float[Tensor, "clips frames"]
    lengths: Int64[Tensor, " clips"]


def _mean_over_time(tokens: Tensor, times: Tensor, lengths: Tensor, size: int) -> _Frames:
    if size == 1:
        return _Frames(tokens, times, lengths)
    missing = -tokens.shape[1] % size
    tokens = pad(tokens, (0, 0, 0, 0, 0, 0, 0, missing))
    there = torch.arange(tokens.shape[1], device=tokens.device) < lengths[:, None]
    counted = rearrange(there, "b (p size) -> b p size", size=size)
    shares = counted / counted.sum(dim=2, keepdim=True).clamp(min=1)
    # what fills up may be anything, NaN too
    tokens = tokens.where(there[:, :, None, None, None], 0)
    grouped = rearrange(tokens, "b (p size) r c w -> b p size r c w", size=size)
    pooled = (grouped * shares[..., None, None, None].to(tokens.dtype)).sum(dim=2)
    moments = rearrange(pad(times, (0, missing)), "b (p size) -> b p size", size=size)
    return _Frames(pooled, (moments * shares).sum(dim=2), _parts(lengths, size))


def _mean_over_space(tokens: Tensor, size: int) -> Tensor:
    if size == 1:
        return tokens
    images = rearrange(tokens, "b p r c w -> (b p) w r c")
    pooled = avg_pool2d(images, size, ceil_mode=True, count_include_pad=False)
    return rearrange(pooled, "(b p) w r c -> b p r c w", b=len(tokens))


def _every(tokens: Tensor, times: Tensor, lengths: Tensor, every: int) -> _Frames:
    if every == 1:
        return _Frames(tokens, times, lengths)
    kept = _parts(lengths, every)
    first = torch.arange(_parts(tokens.shape[1], every), device=tokens.device) * every
    size = (lengths[:, None] - first).clamp(min=1, max=every)
    places = first + (size - 1) // 2
    clips = torch.arange(len(tokens), device=tokens.device)[:, None]
    return _Frames(tokens[clips, places], times[clips, places], kept)


def _parts(whole: _Count, size: int) -> _Count:
    """Into how many parts of a size it is cut, the last of them shorter."""
    return -(-whole // size)
