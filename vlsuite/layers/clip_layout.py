"""Which frame belongs to which clip, for clips of different lengths in one batch.

Frames of all clips lie one after the other, without padding. What treats every frame alike runs on
all of them at once; only what mixes frames (attention over time) goes through the clips of one
length after those of another, and has no parameters, so processes whose clips differ in length
still call the same parameters in the same order, as ZeRO 3 requires.

c = clips, f = frames of a clip, t = frames of all clips
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor


class SameLength(NamedTuple):
    """The clips of one length.

    Attributes:
        num_frames: of each of them.
        clips: their rows among the clips; None for all clips.
        frames: rows of their frames among the frames of all clips; None for all frames.
    """

    num_frames: int
    clips: Int64[Tensor, " clips"] | None
    frames: Int64[Tensor, "clips frames"] | None

    def of_clips(self, rows: Tensor) -> Tensor:
        """The rows [c, ...] of these clips."""
        return rows if self.clips is None else rows[self.clips]

    def of_frames(self, rows: Tensor) -> Tensor:
        """The rows [t, ...] of the frames of these clips, as [c, f, ...]."""
        if self.frames is None:
            return rows.unflatten(0, (-1, self.num_frames))
        return rows[self.frames]


class ClipLayout:
    """Where the frames of each clip lie.

    Args:
        num_frames: of each clip, at least 1.
        device: of the tensors that are laid out so.
    """

    def __init__(self, num_frames: Sequence[int], device: torch.device) -> None:
        lengths = torch.tensor(list(num_frames), dtype=torch.int64)
        if len(lengths) and int(lengths.min()) < 1:
            raise ValueError(f"clips of {list(num_frames)} frames; each needs one at least")
        starts = lengths.cumsum(0) - lengths
        self.num_clips = len(lengths)
        self.num_frames: Int64[Tensor, " clips"] = lengths.to(device)
        self._longest = int(lengths.max()) if len(lengths) else 0
        self.total_frames = int(lengths.sum())
        self.clip_of_frame: Int64[Tensor, " total_frames"] = torch.repeat_interleave(
            torch.arange(len(lengths)), lengths
        ).to(device)
        self.place_in_clip: Int64[Tensor, " total_frames"] = (
            torch.arange(self.total_frames) - torch.repeat_interleave(starts, lengths)
        ).to(device)
        self.by_length = _by_length(lengths, starts, device)

    def joined(self, parts: Sequence[Tensor], *, of_frames: bool) -> Tensor:
        """What was computed for the clips of each length, back in the order of the batch.

        Args:
            parts: one a group of ``by_length``: [c, ...] or, of frames, [c, f, ...].
            of_frames: which of both.
        """
        if of_frames:
            parts = [part.flatten(0, 1) for part in parts]
        if len(self.by_length) == 1:
            return parts[0]
        places = [group.frames if of_frames else group.clips for group in self.by_length]
        order = torch.cat([place.flatten() for place in places if place is not None])
        return torch.cat(list(parts))[torch.argsort(order)]

    @property
    def is_there(self) -> Bool[Tensor, "clips frames"] | None:
        """Which frames of :meth:`padded` are a clip's own; None where all clips are as long."""
        if len(self.by_length) == 1:
            return None
        places = torch.arange(self._longest, device=self.num_frames.device)
        return places < self.num_frames[:, None]

    def padded(self, rows: Tensor) -> Tensor:
        """The rows [t, ...] of frames as [c, f, ...]; zeros behind those of shorter clips."""
        if len(self.by_length) == 1:
            return rows.unflatten(0, (self.num_clips, -1))
        clips = rows.new_zeros(self.num_clips, self._longest, *rows.shape[1:])
        return clips.index_put((self.clip_of_frame, self.place_in_clip), rows)

    def mean_over_frames(
        self, rows: Float[Tensor, "total_frames width"]
    ) -> Float[Tensor, "clips width"]:
        """The mean of each clip's rows."""
        means = [group.of_frames(rows).mean(dim=1) for group in self.by_length]
        return self.joined(means, of_frames=False)


def _by_length(lengths: Tensor, starts: Tensor, device: torch.device) -> list[SameLength]:
    different = sorted(set(lengths.tolist()))
    if len(different) == 1:
        return [SameLength(different[0], None, None)]
    groups = []
    for length in different:
        clips = (lengths == length).nonzero().flatten()
        frames = starts[clips][:, None] + torch.arange(length)
        groups.append(SameLength(length, clips.to(device), frames.to(device)))
    return groups
