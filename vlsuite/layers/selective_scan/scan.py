"""The selective scan, whole and one token at a time.

b = batch, l = length (tokens in the order of time), d = channels, n = states of a channel
"""

import logging
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vlsuite.layers.selective_scan.form import ScanInputs
from vlsuite.layers.selective_scan.mamba_ssm_form import MOST_STATES, scan_with_tokens
from vlsuite.layers.selective_scan.operator import scan_operator
from vlsuite.layers.selective_scan.paths import chosen_path

_LOG = logging.getLogger(__name__)
_said: set[str] = set()


class ScanOutput(NamedTuple):
    """What a scan gives.

    Attributes:
        y: in the type of x.
        final_state: behind the last token, fp32; the ``initial_state`` of what follows.
    """

    y: Float[Tensor, "b l d"]
    final_state: Float[Tensor, "b d n"]


class StepOutput(NamedTuple):
    """What one token gives; see :class:`ScanOutput`."""

    y: Float[Tensor, "b d"]
    state: Float[Tensor, "b d n"]


def selective_scan(
    x: Float[Tensor, "b l d"],
    dt: Float[Tensor, "b l d"],
    A: Float[Tensor, "d n"],
    B: Float[Tensor, "b l n"],
    C: Float[Tensor, "b l n"],
    D: Float[Tensor, " d"] | None = None,
    *,
    dt_bias: Float[Tensor, " d"] | None = None,
    softplus: bool = False,
    initial_state: Float[Tensor, "b d n"] | None = None,
) -> ScanOutput:
    """Run the state space of Mamba-1 over a series.

    h[t] = exp(dt[t] A) h[t-1] + dt[t] x[t] B[t] and y[t] = <h[t], C[t]> + D x[t]: equation 2 of Gu
    and Dao 2023, arXiv 2312.00752, with B[t] times the step as in their code (their equation 4
    would integrate exactly). States are computed in fp32 whatever the inputs are; in float64 where
    an input is, slowly. Which form computes says :func:`chosen_path`.

    Args:
        x: the series, fp32, bf16 or fp16.
        dt: step of each token and channel, at least 0. A step of 0 leaves the state as it is: for
            padding, with ``softplus`` -1e4.
        A: decay of each state, negative; kept in fp32.
        B: what each token writes to the states.
        C: what it reads from them.
        D: share of x that goes straight through; None for none.
        dt_bias: added to dt first.
        softplus: the step is log(1 + exp(dt + dt_bias)).
        initial_state: before the first token; None for zeros.
    Returns:
        y and the final state; all inputs get gradients from both.
    Raises:
        ConfigError: ``VLSUITE_SCAN`` names a form that cannot be used here.
    """
    wide = torch.float64 if _any_float64(x, dt, A, B, C) else torch.float32
    inputs = ScanInputs(
        *(x, dt, A.to(wide), B, C),
        D=None if D is None else D.to(wide),
        dt_bias=None if dt_bias is None else dt_bias.to(wide),
        initial_state=None if initial_state is None else initial_state.to(wide),
        softplus=softplus,
    )
    form = "torch" if wide == torch.float64 else _form_on(x.device.type)
    if form == "mamba_ssm":
        if A.shape[1] <= MOST_STATES and x.numel():
            return ScanOutput(*scan_with_tokens(inputs))
        form = "torch"
        _warn_once(
            f"selective scan: plain torch, since mamba-ssm takes {MOST_STATES} states at most "
            f"and no empty series; these are {A.shape[1]} states, length {x.shape[1]}"
        )
    if form == "native":
        inputs = _in_kernel_types(inputs)
    keep = torch.is_grad_enabled() and any(
        isinstance(given, Tensor) and given.requires_grad for given in inputs
    )
    y, final_state, _ = scan_operator(*inputs, keep, form)
    return ScanOutput(y.to(x.dtype), final_state)


def scan_step(
    x: Float[Tensor, "b d"],
    dt: Float[Tensor, "b d"],
    A: Float[Tensor, "d n"],
    B: Float[Tensor, "b n"],
    C: Float[Tensor, "b n"],
    D: Float[Tensor, " d"] | None = None,
    *,
    dt_bias: Float[Tensor, " d"] | None = None,
    softplus: bool = False,
    state: Float[Tensor, "b d n"],
) -> StepOutput:
    """One token of :func:`selective_scan`, for streams; arguments as there.

    Args:
        state: before the token; it is not changed.
    Returns:
        y and the state behind the token.
    """
    wide = torch.float64 if _any_float64(x, dt, A, B, C) else torch.float32
    step = dt.to(wide)
    if dt_bias is not None:
        step = step + dt_bias.to(wide)
    if softplus:
        step = F.softplus(step, threshold=40)
    series = x.to(wide)
    decay = torch.exp(step[..., None] * A.to(wide))
    state = decay * state.to(wide) + (step * series)[..., None] * B.to(wide)[:, None]
    y = (state * C.to(wide)[:, None]).sum(-1)  # a product of matrices would be bf16 in autocast
    if D is not None:
        y = y + D.to(wide) * series
    return StepOutput(y.to(x.dtype), state)


@torch.compiler.assume_constant_result  # torch.compile would follow it into the compiler of C
def _form_on(device: str) -> str:
    return chosen_path(device).name


def _any_float64(*tensors: Tensor) -> bool:
    return any(tensor.dtype == torch.float64 for tensor in tensors)


def _in_kernel_types(inputs: ScanInputs) -> ScanInputs:
    """The kernel reads fp32 and bf16; other types become fp32."""
    read = (torch.float32, torch.bfloat16)
    x, dt, B, C = (
        series if series.dtype in read else series.float()
        for series in (inputs.x, inputs.dt, inputs.B, inputs.C)
    )
    return inputs._replace(x=x, dt=dt, B=B, C=C)


def _warn_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        _LOG.warning(text)
