"""The scan by the CUDA kernels of mamba-ssm (Gu and Dao), imported when a CUDA tensor comes.

``selective_scan_fn`` takes no initial state and gives no gradient through its final state. Both are
said with tokens instead, n before and n behind the series, which the kernel handles exactly: a step
of 2^-40 with an input of 2^40 h[:, j] and B = e_j puts h into the state without decaying it, and a
step of 0 with C = e_j reads state j out.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from vlsuite.layers.selective_scan.form import ScanInputs

#: Of the kernel.
MOST_STATES = 256

#: How the package is installed so that it can be imported and has the kernel of Mamba-1.
BUILD = (
    "build it with MAMBA_KEEP_CUDA_BUILD=TRUE pip install --no-build-isolation "
    "--no-binary mamba-ssm mamba-ssm"
)
#: A power of two, so that scaling by it is exact; exp(TINY * A) is 1 for any A above -2^15.
_TINY = 2.0**-40
#: A raw step whose softplus is exactly 0 with any bias.
_NO_STEP = -1e4


class Problem(NamedTuple):
    """Why the kernels cannot be used, and what to do about it."""

    reason: str
    remedy: str


@functools.cache
def why_not() -> Problem | None:
    """None where the kernels can be used.

    Its repository after 2.3.2.post1 installs the kernel of Mamba-1 only where it is asked for: the
    package imports without it, and raises on the first call. 2.3.2.post1 raises while it is
    imported.
    """
    if importlib.util.find_spec("mamba_ssm") is None:
        return Problem("mamba-ssm is not installed", BUILD)
    if importlib.util.find_spec("selective_scan_cuda") is None:
        return Problem("mamba-ssm is installed without the kernel selective_scan_cuda", BUILD)
    try:
        _function()
    except Exception as error:  # whatever Triton and extensions raise while they are imported
        said = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        return Problem(f"mamba-ssm cannot be imported ({said})", BUILD)
    return None


def _function() -> Callable[..., Tensor]:
    module = importlib.import_module("mamba_ssm.ops.selective_scan_interface")
    return module.selective_scan_fn


def scan_with_tokens(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """y [b l d] and final state [b d n], differentiable in every input.

    Args:
        inputs: on a CUDA device; at most 256 states.
    """
    x, dt, A, B, C, D, dt_bias, initial, softplus = inputs
    b, length, _ = x.shape
    n = A.shape[1]
    no_step = _NO_STEP
    mixed = len({series.dtype for series in (x, dt, B, C)}) > 1
    if initial is not None or not softplus or mixed:
        # the state is fp32, which inputs of bf16 could not carry; steps are finished here
        x, dt, B, C = x.float(), dt.float(), B.float(), C.float()
        dt = dt if dt_bias is None else dt + dt_bias
        dt, dt_bias = (F.softplus(dt) if softplus else dt), None
        softplus, no_step = False, 0.0
    before = 0 if initial is None else n
    one_each = torch.eye(n, dtype=x.dtype, device=x.device).expand(b, n, n)
    series = [_padded(x, n, before), _padded(dt, n, before, no_step)]
    series += [_padded(B, n, before), _padded(C, n, before)]
    x_all, dt_all, B_all, C_all = series
    if initial is not None:
        dt_all[:, :, :n] = _TINY
        x_all[:, :, :n] = initial / _TINY
        B_all[:, :, :n] = one_each
    C_all[:, :, before + length :] = one_each
    out = _function()(
        x_all, dt_all, A, B_all, C_all, D=D, delta_bias=dt_bias, delta_softplus=softplus
    )
    y = rearrange(out[:, :, before : before + length], "b d l -> b l d").to(inputs.x.dtype)
    return y, out[:, :, before + length :].float()


def _padded(series: Tensor, behind: int, before: int, value: float = 0.0) -> Tensor:
    """[b l m] as [b m before+l+behind], time side by side as the kernel wants it."""
    turned = rearrange(series, "b l m -> b m l")
    return F.pad(turned, (before, behind), value=value).contiguous()
