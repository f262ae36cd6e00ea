"""What every form of the scan computes, and from what: the contract between forms and operator.

b = batch, l = length, d = channels, n = states of a channel
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor


class ScanInputs(NamedTuple):
    """Checked inputs of a scan.

    Attributes:
        x: [b l d], any floating type, any strides; dt likewise.
        A: [d n], fp32, or float64 where x is; D and dt_bias [d] likewise.
        B: [b l n]; C likewise.
        initial_state: [b d n] in the type of A; None for zeros.
        softplus: dt is softplus(dt + dt_bias), else dt + dt_bias.
    """

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None
    dt_bias: Tensor | None
    initial_state: Tensor | None
    softplus: bool


class Scanned(NamedTuple):
    """What comes out.

    Attributes:
        y: [b l d] in the type of x.
        final_state: [b d n] in the type of A.
        kept: [b pieces n d], the state before every piece of ``steps``; no pieces where none are
            kept.
    """

    y: Tensor
    final_state: Tensor
    kept: Tensor


class ScanGradients(NamedTuple):
    """In the types of the inputs, zeros where an input was None."""

    x: Tensor
    dt: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    dt_bias: Tensor
    initial_state: Tensor


@runtime_checkable
class ScanForm(Protocol):
    """One way of computing the scan on the device of its inputs."""

    def steps(self, device: torch.device) -> int:
        """How many steps lie between two states that are kept."""
        ...

    def forward(self, inputs: ScanInputs, *, keep: bool) -> Scanned:
        """Outputs, and with ``keep`` the states that the way back begins from."""
        ...

    def backward(
        self, inputs: ScanInputs, kept: Tensor, *, dy: Tensor, dfinal: Tensor
    ) -> ScanGradients:
        """Gradients from those of both outputs."""
        ...


def num_pieces(length: int, steps: int) -> int:
    """Pieces of ``steps`` that a series falls into; the last may be shorter."""
    return (length + steps - 1) // steps
