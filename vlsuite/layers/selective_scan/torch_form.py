"""The scan in plain torch: on any device, in float64 too, without a compiler.

Time goes by in spans, each of some rows of the batch and some channels (``two_level``); the state
before every span is kept, and the way back goes through the span again from there.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from vlsuite.layers.selective_scan.form import (
    ScanGradients,
    ScanInputs,
    Scanned,
    num_pieces,
)
from vlsuite.layers.selective_scan.two_level import Span, gradients_of, outputs_of, states_of

#: Steps of a row and rows of a span. On a processor a span of some channels stays in its cache; on
#: other devices a call costs more than memory.
_ON_CPU = (8, 16)
_ELSEWHERE = (64, 64)
#: Numbers of a span's states that are worked on at a time.
_CPU_NUMBERS = 2**19
_DEVICE_NUMBERS = 2**27


class _Part(NamedTuple):
    """Some rows of the batch and some channels."""

    rows: slice
    channels: slice


class TorchForm:
    """See the module's text."""

    def steps(self, device: torch.device) -> int:
        """Steps of a span."""
        c, k = _span_shape(device)
        return c * k

    def forward(self, inputs: ScanInputs, *, keep: bool) -> Scanned:
        """Span by span."""
        b, length, d = inputs.x.shape
        steps = self.steps(inputs.x.device)
        y = inputs.x.new_empty(b, length, d)
        final = inputs.A.new_empty(b, d, inputs.A.shape[1])
        kept = inputs.A.new_empty(b, num_pieces(length, steps) if keep else 0, inputs.A.shape[1], d)
        for part in _parts(inputs, steps):
            state = _initial(inputs, part)
            for piece, begin in enumerate(range(0, length, steps)):
                time = slice(begin, min(begin + steps, length))
                if keep:
                    kept[part.rows, piece, :, part.channels] = state
                span, _ = _cut(inputs, part, time)
                states = states_of(span, state)
                out = outputs_of(span, states)
                if inputs.D is not None:
                    out.addcmul_(span.x, inputs.D[part.channels])
                y[part.rows, time, part.channels] = _in_time(out)[:, : time.stop - begin]
                state = states.end
            final[part.rows, part.channels] = rearrange(state, "b n d -> b d n")
        return Scanned(y, final, kept)

    def backward(
        self, inputs: ScanInputs, kept: Tensor, *, dy: Tensor, dfinal: Tensor
    ) -> ScanGradients:
        """Span by span, from the last."""
        steps, length = self.steps(inputs.x.device), inputs.x.shape[1]
        sums = _zero_gradients(inputs)
        for part in _parts(inputs, steps):
            adjoint = rearrange(dfinal[part.rows, part.channels], "b d n -> b n d").contiguous()
            for piece in reversed(range(num_pieces(length, steps))):
                time = slice(piece * steps, min((piece + 1) * steps, length))
                state = kept[part.rows, piece, :, part.channels]
                adjoint = _add_span(sums, inputs, part, time, state, dy, adjoint)
            sums.initial_state[part.rows, part.channels] = rearrange(adjoint, "b n d -> b d n")
        return sums._replace(B=sums.B.to(inputs.B.dtype), C=sums.C.to(inputs.C.dtype))


def _add_span(
    sums: ScanGradients,
    inputs: ScanInputs,
    part: _Part,
    time: slice,
    state: Tensor,
    dy: Tensor,
    adjoint: Tensor,
) -> Tensor:
    """Add what a span gives to every gradient; returns the adjoint of the state before it."""
    rows, channels = part
    span, slope = _cut(inputs, part, time)
    given = _in_rows(dy[rows, time, channels].to(inputs.A.dtype))
    found = gradients_of(span, states_of(span, state), given, adjoint)
    dx, ddt = found.x, found.dt
    if inputs.D is not None:
        dx.addcmul_(given, inputs.D[channels])
        sums.D[channels] += (given * span.x).sum((0, 1, 2))
    if slope is not None:
        ddt.mul_(slope)
    count = time.stop - time.start
    ddt = _in_time(ddt)[:, :count]
    sums.dt_bias[channels] += ddt.sum((0, 1))
    sums.dt[rows, time, channels] = ddt.to(sums.dt.dtype)
    sums.x[rows, time, channels] = _in_time(dx)[:, :count].to(sums.x.dtype)
    sums.A[channels] += found.A.T
    sums.B[rows, time] += _in_time(found.B)[:, :count]
    sums.C[rows, time] += _in_time(found.C)[:, :count]
    return found.start


def _span_shape(device: torch.device) -> tuple[int, int]:
    return _ON_CPU if device.type == "cpu" else _ELSEWHERE


def _parts(inputs: ScanInputs, steps: int) -> Iterator[_Part]:
    """As many rows and channels at a time as are worth it."""
    b, _, d = inputs.x.shape
    on_cpu = inputs.x.device.type == "cpu"
    numbers = (_CPU_NUMBERS if on_cpu else _DEVICE_NUMBERS) // (steps * inputs.A.shape[1])
    rows = min(max(numbers // min(d or 1, 64), 1), b or 1)
    channels = min(max(numbers // rows, 16), d or 1)
    for row in range(0, b, rows):
        for channel in range(0, d, channels):
            yield _Part(slice(row, min(row + rows, b)), slice(channel, min(channel + channels, d)))


def _initial(inputs: ScanInputs, part: _Part) -> Tensor:
    """[b n d]."""
    rows, channels = part
    if inputs.initial_state is None:
        shape = (rows.stop - rows.start, inputs.A.shape[1], channels.stop - channels.start)
        return inputs.A.new_zeros(shape)
    return rearrange(inputs.initial_state[rows, channels], "b d n -> b n d").contiguous()


def _cut(inputs: ScanInputs, part: _Part, time: slice) -> tuple[Span, Tensor | None]:
    """A span, and the derivative of its steps; steps past the end are 0: states stay."""
    rows, channels = part
    wide = inputs.A.dtype
    dt, slope = inputs.dt[rows, time, channels].to(wide), None
    if inputs.dt_bias is not None:
        dt = dt + inputs.dt_bias[channels]
    if inputs.softplus:
        slope = _in_rows(torch.sigmoid(dt))
        dt = F.softplus(dt, threshold=40)
    span = Span(
        x=_in_rows(inputs.x[rows, time, channels].to(wide)),
        dt=_in_rows(dt),
        B=_in_rows(inputs.B[rows, time].to(wide)),
        C=_in_rows(inputs.C[rows, time].to(wide)),
        A=inputs.A[channels].T.contiguous(),
    )
    return span, slope


def _in_rows(series: Tensor) -> Tensor:
    """[b t m] as [c k b m], padded with zeros to whole rows of the span."""
    c, k = _span_shape(series.device)
    k = min(k, num_pieces(series.shape[1], c))
    series = F.pad(series, (0, 0, 0, c * k - series.shape[1]))
    return rearrange(series, "b (k c) m -> c k b m", c=c).contiguous()


def _in_time(rows: Tensor) -> Tensor:
    return rearrange(rows, "c k b m -> b (k c) m")


def _zero_gradients(inputs: ScanInputs) -> ScanGradients:
    """Where sums are added up; what is written once has the type of its input already."""
    A, d = inputs.A, inputs.x.shape[2]
    return ScanGradients(
        x=inputs.x.new_zeros(inputs.x.shape),
        dt=inputs.dt.new_zeros(inputs.dt.shape),
        A=A.new_zeros(A.shape),
        B=A.new_zeros(inputs.B.shape),
        C=A.new_zeros(inputs.C.shape),
        D=A.new_zeros(d),
        dt_bias=A.new_zeros(d),
        initial_state=A.new_zeros(inputs.x.shape[0], d, A.shape[1]),
    )
