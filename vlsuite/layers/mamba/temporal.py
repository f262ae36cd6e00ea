"""A layer that mixes tokens in time order at a cost that grows with their number alone.

STORM (Jiang et al. 2025, arXiv 2503.04130, section 3.2): X + Mixer(LN(X)), the mixer a Mamba that
reads the tokens of a clip from both ends. As in VideoMamba (Li et al. 2024, arXiv 2403.06977) both
directions share the in and out projections and have a convolution, step, B, C, A and D each.

b = batch, l = length, w = width
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vlsuite.layers.mamba.config import MambaConfig
from vlsuite.layers.mamba.paths import MixerState, Projected, mixer_path


class Streamed(NamedTuple):
    """Tokens "b l w" and what to pass with the next ones."""

    tokens: Tensor
    state: MixerState


class TemporalMamba(nn.Module):
    """X + Mixer(LN(X)).

    Args:
        width: of a token.
        config: of the mixer.
        zero_init: the out projection starts at 0, so that the layer is the identity at first: what
            comes from a pretrained image encoder is not disturbed. Off: torch's own start.
    Raises:
        ConfigError: the heads do not divide expand * width.
    """

    def __init__(self, width: int, config: MambaConfig, *, zero_init: bool = True) -> None:
        super().__init__()
        channels = config.channels(width)
        self.is_streamable = config.directions == "forward"
        self.norm = nn.LayerNorm(width)
        paths = [mixer_path(channels, width, config) for _ in range(config.num_directions)]
        self.paths = nn.ModuleList(paths)
        self.channels, self.own = channels, paths[0].own_width
        self.in_proj = nn.Linear(width, 2 * channels + len(self.paths) * self.own, bias=False)
        self.out_proj = MergingProjection(channels, width, config)
        if zero_init:
            nn.init.zeros_(self.out_proj.weight)

    def forward(
        self,
        tokens: Float[Tensor, "b l w"],
        *,
        is_there: Bool[Tensor, "b l"] | None = None,
        piece: int | None = None,
    ) -> Float[Tensor, "b l w"]:
        """All tokens mixed.

        Args:
            is_there: False at padding, which must be at the end of a row. It comes out as it went
                in, and all else as if it were not there.
            piece: tokens worked on at a time, from the start for one direction and from the end
                for the other, with the state carried: memory for what lies between is that of one
                piece. Where gradients are wanted each piece is computed again for them. None: all.
        Raises:
            ValueError: padding before a token, or piece is not positive.
        """
        if piece is not None and piece < 1:
            raise ValueError(f"piece={piece} must be at least 1")
        clean = tokens
        if is_there is not None:
            if bool((is_there[:, 1:] & ~is_there[:, :-1]).any()):
                raise ValueError("padding (is_there False) must be at the end of a row")
            clean = tokens.masked_fill(~is_there[..., None], 0.0)
        if piece is None or piece >= tokens.shape[1]:
            mixed = self._whole(clean, is_there)
        else:
            mixed = self._in_pieces(0, clean, is_there, piece)
            if len(self.paths) > 1:
                mixed = mixed + self._in_pieces(1, clean, is_there, piece)
        if is_there is not None:
            mixed = mixed.masked_fill(~is_there[..., None], 0.0)
        return tokens + mixed

    def stream(self, tokens: Float[Tensor, "b l w"], state: MixerState | None) -> Streamed:
        """The tokens that follow, mixed with those before; any number at a time.

        Args:
            state: what the call before returned; None at the start.
        Raises:
            ValueError: the layer reads from both ends.
        """
        if not self.is_streamable:
            raise ValueError('only directions="forward" can be streamed')
        rows = self._rows(0, self.in_proj(self.norm(tokens)), None)
        mixed: tuple[Tensor, MixerState] = self.paths[0](rows, state)
        return Streamed(tokens + self.out_proj(mixed[:1]), mixed[1])

    def _whole(self, tokens: Tensor, is_there: Tensor | None) -> Tensor:
        projected = self.in_proj(self.norm(tokens))
        outputs = []
        for number, path in enumerate(self.paths):
            y, _ = path(_turned(number, self._rows(number, projected, is_there)), None)
            outputs.append(y.flip(1) if number else y)
        return self.out_proj(outputs)

    def _in_pieces(
        self, number: int, tokens: Tensor, is_there: Tensor | None, piece: int
    ) -> Tensor:
        """What one direction adds to the tokens, "b l w"."""
        # split, not sliced: the gradient of each slice would be as long as all tokens
        spans = tokens.split(piece, dim=1)
        marks = [None] * len(spans) if is_there is None else is_there.split(piece, dim=1)
        state, parts = None, []
        for span, there in _in_order(list(zip(spans, marks, strict=True)), from_end=number == 1):
            if torch.is_grad_enabled():
                part, state = checkpoint(
                    self._piece, number, span, there, state,
                    use_reentrant=False, preserve_rng_state=False,
                )  # fmt: skip
            else:
                part, state = self._piece(number, span, there, state)
            parts.append(part)
        return torch.cat(parts[::-1] if number else parts, dim=1)

    def _piece(
        self, number: int, tokens: Tensor, is_there: Tensor | None, state: MixerState | None
    ) -> tuple[Tensor, MixerState]:
        projected = self.in_proj(self.norm(tokens))
        rows = _turned(number, self._rows(number, projected, is_there))
        mixed: tuple[Tensor, MixerState] = self.paths[number](rows, state)
        outputs: list[Tensor | None] = [None] * len(self.paths)
        outputs[number] = mixed[0].flip(1) if number else mixed[0]
        return self.out_proj(outputs), mixed[1]

    def _rows(self, number: int, projected: Tensor, is_there: Tensor | None) -> Projected:
        """In the order of Mamba-2: z, x, then B, C and steps of each direction."""
        gate, x, own = projected.split(
            [self.channels, self.channels, len(self.paths) * self.own], dim=-1
        )
        return Projected(gate, x, own[..., number * self.own : (number + 1) * self.own], is_there)


class MergingProjection(nn.Linear):
    """The out projection of what the directions give, merged as configured.

    Args:
        channels: of each direction.
        width: of a token.
        config: how they are merged.
    """

    def __init__(self, channels: int, width: int, config: MambaConfig) -> None:
        self.is_concatenated = config.merge == "concatenation"
        self.share = 1.0 / config.num_directions if config.merge == "mean" else 1.0
        wide = config.num_directions if self.is_concatenated else 1
        super().__init__(wide * channels, width, bias=False)

    def forward(self, outputs: Sequence[Float[Tensor, "b l d"] | None]) -> Tensor:  # type: ignore[override]
        """The sum over directions of their parts; a None adds nothing."""
        if self.is_concatenated:
            weights = self.weight.chunk(len(outputs), dim=1)
            parts = [F.linear(y, w) for y, w in zip(outputs, weights, strict=True) if y is not None]
            return sum(parts[1:], start=parts[0])
        given = [y for y in outputs if y is not None]
        merged = sum(given[1:], start=given[0])
        return F.linear(merged if self.share == 1.0 else merged * self.share, self.weight)


def _turned(number: int, rows: Projected) -> Projected:
    """In the order in which a direction reads."""
    if number == 0:
        return rows
    there = None if rows.is_there is None else rows.is_there.flip(1)
    return Projected(rows.gate.flip(1), rows.x.flip(1), rows.own.flip(1), there)


def _in_order(
    pieces: list[tuple[Tensor, Tensor | None]], *, from_end: bool
) -> list[tuple[Tensor, Tensor | None]]:
    return pieces[::-1] if from_end else pieces
