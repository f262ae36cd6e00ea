"""Which form computes a scan here, and why: chosen once a device, said once, asked by doctor.

==============  ====================================================================
``mamba_ssm``   CUDA kernels of the package mamba-ssm
``native``      our own kernel on the processor, compiled on first use (``kernel.c``)
``torch``       plain torch, anywhere
==============  ====================================================================

The environment variable ``VLSUITE_SCAN`` forces one of them.
"""

import functools
import logging
import os
from typing import NamedTuple

import torch

from vlsuite.errors import ConfigError, UnknownNameError
from vlsuite.layers.selective_scan.build import BuildError
from vlsuite.layers.selective_scan.mamba_ssm_form import why_not
from vlsuite.layers.selective_scan.native import library

VARIABLE = "VLSUITE_SCAN"
PATHS = ("mamba_ssm", "native", "torch")

_LOG = logging.getLogger(__name__)


class ScanPath(NamedTuple):
    """A choice.

    Attributes:
        name: "mamba_ssm", "native" or "torch".
        reason: one line for people: what it is, or why it is not a faster one.
        remedy: how to get a faster one; None where there is none, or it was asked for.
    """

    name: str
    reason: str
    remedy: str | None = None


def chosen_path(device: torch.device | str) -> ScanPath:
    """The form that scans on a device; looked for once, and logged then.

    A path without a remedy is logged as information, one with a remedy as a warning.

    Raises:
        ConfigError: ``VLSUITE_SCAN`` names none, or one that cannot be used there.
    """
    return _choose(torch.device(device).type, os.environ.get(VARIABLE, ""))


@functools.cache
def _choose(device: str, forced: str) -> ScanPath:
    path = _forced(device, forced) if forced else _best(device)
    level = logging.INFO if path.remedy is None else logging.WARNING
    remedy = f"; {path.remedy}" if path.remedy else ""
    _LOG.log(level, "selective scan on %s: %s (%s)%s", device, path.name, path.reason, remedy)
    return path


def _best(device: str) -> ScanPath:
    if device == "cpu":
        return _native() or ScanPath("torch", *_without_kernel())
    if device == "cuda":
        problem = why_not()
        if problem is None:
            return ScanPath("mamba_ssm", "kernels of mamba-ssm")
        return ScanPath("torch", f"slow on a GPU: {problem.reason}", problem.remedy)
    return ScanPath("torch", f"there are no kernels for {device}")


def _native() -> ScanPath | None:
    found = library()
    if isinstance(found, BuildError):
        return None
    built = found.built
    reason = f"compiled in {built.seconds:.1f} s by {built.compiler}"
    if built.not_kept is None:
        return ScanPath("native", reason)
    remedy = "set XDG_CACHE_HOME to a folder of yours, and it is kept for later processes"
    return ScanPath("native", f"{reason}, for this process alone: {built.not_kept}", remedy)


def _without_kernel() -> tuple[str, str]:
    """Reason and remedy; errors of building say both in one line."""
    reason, _, remedy = str(library()).partition("; ")
    return f"some 10 times slower than compiled: {reason}", remedy or "set CC to another compiler"


def _forced(device: str, name: str) -> ScanPath:
    """What the variable asks for.

    Raises:
        ConfigError: it cannot be had.
    """
    asked = f"as {VARIABLE} asks"
    if name not in PATHS:
        raise UnknownNameError(f"{VARIABLE}={name}: unknown; use one of {', '.join(PATHS)}")
    if name == "torch":
        return ScanPath("torch", asked)
    wanted = {"native": "cpu", "mamba_ssm": "cuda"}[name]
    if device != wanted:
        raise ConfigError(
            f"{VARIABLE}={name} works on {wanted} tensors, and these are on {device}; "
            f"unset it, or use {VARIABLE}=torch"
        )
    if name == "native":
        path = _native()
        if path is None:
            raise ConfigError(f"{VARIABLE}=native: {library()}")
        return path._replace(reason=f"{asked}, {path.reason}")
    problem = why_not()
    if problem is not None:
        raise ConfigError(f"{VARIABLE}=mamba_ssm: {problem.reason}; {problem.remedy}")
    return ScanPath("mamba_ssm", asked)
