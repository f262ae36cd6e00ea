"""The scan as operators of torch, so that autograd, torch.compile and fake tensors know it.

``vlsuite::selective_scan`` and ``vlsuite::selective_scan_backward`` look alike for every form that
brings its own way back; ``form`` says which one computes.
"""

from typing import Any

import torch
from torch import Tensor

from vlsuite.layers.selective_scan.form import ScanForm, ScanInputs
from vlsuite.layers.selective_scan.native import NativeForm
from vlsuite.layers.selective_scan.torch_form import TorchForm

_FORMS: dict[str, ScanForm] = {"native": NativeForm(), "torch": TorchForm()}


@torch.library.custom_op("vlsuite::selective_scan", mutates_args=())
def scan_operator(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    dt_bias: Tensor | None,
    initial_state: Tensor | None,
    softplus: bool,
    keep: bool,
    form: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """See ``Scanned``; with ``keep`` it can be differentiated."""
    inputs = ScanInputs(x, dt, A, B, C, D, dt_bias, initial_state, softplus)
    with torch.autocast(x.device.type, enabled=False):
        y, final_state, kept = _FORMS[form].forward(inputs, keep=keep)
        return y, final_state, kept


@scan_operator.register_fake
def _(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    dt_bias: Tensor | None,
    initial_state: Tensor | None,
    softplus: bool,
    keep: bool,
    form: str,
) -> tuple[Tensor, Tensor, Tensor]:
    b, length, d = x.shape
    n = A.shape[1]
    # not num_pieces: the length may be a symbol
    pieces = -(-length // _FORMS[form].steps(x.device)) if keep else 0
    return x.new_empty(b, length, d), A.new_empty(b, d, n), A.new_empty(b, pieces, n, d)


@torch.library.custom_op("vlsuite::selective_scan_backward", mutates_args=())
def scan_backward_operator(
    dy: Tensor,
    dfinal: Tensor,
    kept: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    dt_bias: Tensor | None,
    initial_state: Tensor | None,
    softplus: bool,
    form: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """See ``ScanGradients``."""
    inputs = ScanInputs(x, dt, A, B, C, D, dt_bias, initial_state, softplus)
    with torch.autocast(x.device.type, enabled=False):
        dx, ddt, dA, dB, dC, dD, dbias, dstate = _FORMS[form].backward(
            inputs, kept, dy=dy, dfinal=dfinal
        )
        return dx, ddt, dA, dB, dC, dD, dbias, dstate


@scan_backward_operator.register_fake
def _(
    dy: Tensor,
    dfinal: Tensor,
    kept: Tensor,
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    dt_bias: Tensor | None,
    initial_state: Tensor | None,
    softplus: bool,
    form: str,
) -> tuple[Tensor, ...]:
    b, _, d = x.shape
    return (
        x.new_empty(x.shape),
        dt.new_empty(dt.shape),
        A.new_empty(A.shape),
        B.new_empty(B.shape),
        C.new_empty(C.shape),
        A.new_empty(d),
        A.new_empty(d),
        A.new_empty(b, d, A.shape[1]),
    )


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, softplus, keep, form = inputs
    ctx.save_for_backward(output[2], *tensors)
    ctx.softplus, ctx.keep, ctx.form = softplus, keep, form
    ctx.mark_non_differentiable(output[2])


def _back(ctx: Any, dy: Tensor, dfinal: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    assert ctx.keep, "a scan that kept no states was differentiated"
    kept, *tensors = ctx.saved_tensors
    found = scan_backward_operator(dy, dfinal, kept, *tensors, ctx.softplus, ctx.form)
    wanted = (
        gradient if given is not None else None
        for gradient, given in zip(found, tensors, strict=True)
    )
    return (*wanted, None, None, None)


scan_operator.register_autograd(_back, setup_context=_remember)
