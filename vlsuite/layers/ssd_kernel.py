"""The Triton kernel of mamba-ssm for SSD, imported when a CUDA tensor comes.

Not run here: no machine with a GPU was at hand. Its arguments are those of
``mamba_chunk_scan_combined`` of mamba-ssm 2.2 to 2.3 (ops/triton/ssd_combined.py).

b = batch, l = length, h = heads, p = width of a head, g = groups, n = state
"""

import functools
import importlib
import logging
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vlsuite.errors import ConfigError, UnknownNameError
from vlsuite.layers.selective_scan.mamba_ssm_form import BUILD
from vlsuite.layers.selective_scan.paths import PATHS, VARIABLE, ScanPath

#: Tokens of a chunk, as modules/mamba2.py of mamba-ssm calls it.
_CHUNK = 256

_LOG = logging.getLogger(__name__)


def chosen_ssd_path(device: torch.device | str) -> ScanPath:
    """The form of SSD on a device; looked for once, and logged then.

    ``VLSUITE_SCAN`` is followed as for Mamba-1. There is no native form and none is missed: where
    it asks for "native", the matrix products of torch are used.

    Raises:
        ConfigError: ``VLSUITE_SCAN`` names none, or mamba_ssm where it cannot be used.
    """
    return _choose(torch.device(device).type, os.environ.get(VARIABLE, ""))


@functools.cache
def _choose(device: str, forced: str) -> ScanPath:
    path = _looked_for(device, forced)
    _LOG.info("scan of Mamba-2 on %s: %s (%s)", device, path.name, path.reason)
    return path


def _looked_for(device: str, forced: str) -> ScanPath:
    if forced and forced not in PATHS:
        raise UnknownNameError(f"{VARIABLE}={forced}: unknown; use one of {', '.join(PATHS)}")
    if forced == "mamba_ssm" and device != "cuda":
        raise ConfigError(
            f"{VARIABLE}=mamba_ssm works on cuda tensors, and these are on {device}; unset it, or "
            f"use {VARIABLE}=torch"
        )
    if device != "cuda" or forced in ("torch", "native"):
        return ScanPath("torch", "matrix products, which are no slow way for Mamba-2")
    try:
        _function()
    except Exception as error:  # whatever Triton and extensions raise while they are imported
        said = " ".join(f"{type(error).__name__}: {error}".split())[:150]
        if forced:
            raise ConfigError(f"{VARIABLE}=mamba_ssm: {said}; {BUILD}") from error
        return ScanPath("torch", f"matrix products; mamba-ssm cannot be imported: {said}")
    return ScanPath("mamba_ssm", "Triton kernel of mamba-ssm")


def _function() -> Callable[..., Any]:
    module = importlib.import_module("mamba_ssm.ops.triton.ssd_combined")
    return module.mamba_chunk_scan_combined


def ssd_by_kernel(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    *,
    dt_bias: Tensor | None,
    softplus: bool,
    initial_state: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """y and the last state, in fp32; arguments as those of ``ssd``, on a CUDA device."""
    y, state = _function()(
        x,
        dt,
        A.float(),
        B.to(x.dtype).contiguous(),
        C.to(x.dtype).contiguous(),
        _CHUNK,
        D=None if D is None else D.float(),
        dt_bias=None if dt_bias is None else dt_bias.float(),
        initial_states=None if initial_state is None else initial_state.float(),
        dt_softplus=softplus,
        return_final_states=True,
    )
    return y.to(x.dtype), state.float()
