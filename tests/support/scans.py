"""Selective scans of made-up inputs by a named form."""

import pytest
import torch
from torch import Tensor

from benchmarks.support.scan_loops import Inputs
from vlsuite.layers.selective_scan import ScanOutput, selective_scan
from vlsuite.layers.selective_scan.build import BuildError
from vlsuite.layers.selective_scan.native import library


def forced(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Let this form compute; skips where there is no compiler for it."""
    if form == "native" and isinstance(library(), BuildError):
        pytest.skip(str(library()))
    monkeypatch.setenv("VLSUITE_SCAN", form)


def scanned(inputs: Inputs, *, softplus: bool = True) -> ScanOutput:
    """All inputs given."""
    *series, bias, state = inputs
    return selective_scan(*series, dt_bias=bias, softplus=softplus, initial_state=state)


def with_gradients(
    inputs: Inputs, dy: Tensor, dfinal: Tensor, *, softplus: bool = True
) -> tuple[ScanOutput, tuple[Tensor, ...]]:
    """Outputs, and gradients of <y, dy> + <final state, dfinal>."""
    leaves = Inputs(*(value.detach().clone().requires_grad_() for value in inputs))
    out = scanned(leaves, softplus=softplus)
    wanted = (dy.to(out.y.dtype), dfinal.to(out.final_state.dtype))
    return out, torch.autograd.grad(tuple(out), leaves, wanted)
