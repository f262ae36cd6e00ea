"""The scan by ``kernel.c``: fp32 and bf16 on a processor, fp32 inside, any number of threads.

The library is called through ctypes, which lets other Python threads run. Threads are made for a
call and end with it, so a process that forks afterwards inherits none. Results do not depend on
their number.
"""

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vlsuite.layers.selective_scan.build import BuildError, Built, build
from vlsuite.layers.selective_scan.form import (
    ScanGradients,
    ScanInputs,
    Scanned,
    num_pieces,
)

#: As STEPS in kernel.c, which the library is asked for when it is loaded.
STEPS = 64
#: A row of the batch is divided into so many tasks at most: each needs sums of its own.
_MOST_BLOCKS = 16
#: Below so many numbers (b l d n) a thread takes longer to start than it saves.
_NUMBERS_OF_A_THREAD = 2**18

_Pointer, _Int = ctypes.c_void_p, ctypes.c_int64


class _Series(ctypes.Structure):
    _fields_ = (("data", _Pointer), ("row", _Int), ("step", _Int), ("is_bf16", _Int))


class _Scan(ctypes.Structure):
    _fields_ = (
        *((name, _Int) for name in ("batch", "length", "channels", "states", "per_task")),
        *((name, _Int) for name in ("softplus", "threads")),
        *((name, _Series) for name in ("x", "dt", "B", "C", "y")),
        *((name, _Pointer) for name in ("A", "D", "dt_bias", "initial", "final", "kept")),
    )


class _Gradients(ctypes.Structure):
    _fields_ = (
        *((name, _Series) for name in ("dy", "dx", "ddt")),
        *((name, _Pointer) for name in ("dfinal", "dA", "dD", "dbias", "dinitial", "dB", "dC")),
        ("own_parts", _Int),
    )


class Library(NamedTuple):
    """A loaded library.

    Attributes:
        built: where it is from.
        wide: channels that it works on at a time.
    """

    built: Built
    forward: Callable[..., int]
    backward: Callable[..., int]
    wide: int


@functools.cache
def library() -> Library | BuildError:
    """The library, compiled on first use; an error, without its raising, where there is none."""
    try:
        built, loaded = build(_load)
    except BuildError as error:
        return error
    forward, backward = loaded.vlsuite_scan_forward, loaded.vlsuite_scan_backward
    forward.argtypes = (ctypes.POINTER(_Scan),)
    backward.argtypes = (ctypes.POINTER(_Scan), ctypes.POINTER(_Gradients))
    forward.restype = backward.restype = _Int
    return Library(built, forward, backward, wide=int(loaded.vlsuite_scan_block()))


def _load(path: Path) -> ctypes.CDLL | None:
    try:
        loaded = ctypes.CDLL(str(path))
        return loaded if loaded.vlsuite_scan_steps() == STEPS else None
    except (OSError, AttributeError):
        return None


def opened_library() -> Library:
    """The library.

    Raises:
        BuildError: there is none.
    """
    found = library()
    if isinstance(found, BuildError):
        raise found
    return found


class NativeForm:
    """See the module's text."""

    def steps(self, device: torch.device) -> int:
        """Steps between kept states."""
        return STEPS

    def forward(self, inputs: ScanInputs, *, keep: bool) -> Scanned:
        """One call of the library."""
        inputs = _readable(inputs)
        b, length, d = inputs.x.shape
        n = inputs.A.shape[1]
        pieces = num_pieces(length, STEPS)
        out = Scanned(
            y=torch.empty(b, length, d, dtype=inputs.x.dtype),
            final_state=torch.empty(b, d, n),
            kept=torch.empty(b, pieces if keep else 0, n, d),
        )
        scan = _describe(inputs, threads=_threads(inputs))
        scan.y = _series(out.y)
        scan.final = out.final_state.data_ptr()
        scan.kept = out.kept.data_ptr() if keep else None
        _check(opened_library().forward(ctypes.byref(scan)))
        return out

    def backward(
        self, inputs: ScanInputs, kept: Tensor, *, dy: Tensor, dfinal: Tensor
    ) -> ScanGradients:
        """One call of the library; sums of rows and of blocks of channels in a fixed order."""
        inputs = _readable(inputs)
        b, length, d = inputs.x.shape
        n, threads = inputs.A.shape[1], _threads(inputs)
        scan = _describe(inputs, threads=threads)
        scan.kept = kept.data_ptr()
        dy, dfinal = _last_dense(dy), dfinal.contiguous()
        # with one thread, blocks add to one sum in the order in which others are added below
        parts = (-(-d // scan.per_task),) if threads > 1 else ()
        dx = torch.empty(b, length, d, dtype=inputs.x.dtype)
        ddt = torch.empty(b, length, d, dtype=inputs.dt.dtype)
        dA, dinitial = torch.empty(b, d, n), torch.empty(b, d, n)
        dD, dbias = torch.empty(b, d), torch.empty(b, d)
        dB, dC = torch.zeros(*parts, b, length, n), torch.zeros(*parts, b, length, n)
        gradients = _Gradients(
            dy=_series(dy), dx=_series(dx), ddt=_series(ddt), dfinal=dfinal.data_ptr(),
            dA=dA.data_ptr(), dD=dD.data_ptr(), dbias=dbias.data_ptr(),
            dinitial=dinitial.data_ptr(), dB=dB.data_ptr(), dC=dC.data_ptr(),
            own_parts=int(bool(parts)),
        )  # fmt: skip
        _check(opened_library().backward(ctypes.byref(scan), ctypes.byref(gradients)))
        if parts:
            dB, dC = _in_order(dB), _in_order(dC)
        return ScanGradients(
            x=dx, dt=ddt, A=_in_order(dA), B=dB.to(inputs.B.dtype), C=dC.to(inputs.C.dtype),
            D=_in_order(dD), dt_bias=_in_order(dbias), initial_state=dinitial,
        )  # fmt: skip


def _readable(inputs: ScanInputs) -> ScanInputs:
    """Channels side by side, types that the kernel reads; strides of batch and time stay."""
    return inputs._replace(
        x=_last_dense(inputs.x),
        dt=_last_dense(inputs.dt),
        B=_last_dense(inputs.B),
        C=_last_dense(inputs.C),
        A=inputs.A.contiguous(),
        D=None if inputs.D is None else inputs.D.contiguous(),
        dt_bias=None if inputs.dt_bias is None else inputs.dt_bias.contiguous(),
        initial_state=None if inputs.initial_state is None else inputs.initial_state.contiguous(),
    )


def _last_dense(series: Tensor) -> Tensor:
    return series if series.stride(-1) == 1 or series.shape[-1] == 1 else series.contiguous()


def _series(tensor: Tensor) -> _Series:
    return _Series(
        data=tensor.data_ptr(),
        row=tensor.stride(0),
        step=tensor.stride(1),
        is_bf16=int(tensor.dtype == torch.bfloat16),
    )


def _describe(inputs: ScanInputs, *, threads: int) -> _Scan:
    b, length, d = inputs.x.shape
    wide = opened_library().wide
    blocks = min(max(d // 64, 1), _MOST_BLOCKS)
    return _Scan(
        batch=b, length=length, channels=d, states=inputs.A.shape[1],
        per_task=-(-d // (blocks * wide)) * wide if d else wide,
        softplus=int(inputs.softplus), threads=threads,
        x=_series(inputs.x), dt=_series(inputs.dt), B=_series(inputs.B), C=_series(inputs.C),
        A=inputs.A.data_ptr(), D=_address(inputs.D), dt_bias=_address(inputs.dt_bias),
        initial=_address(inputs.initial_state),
    )  # fmt: skip


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _threads(inputs: ScanInputs) -> int:
    numbers = inputs.x.numel() * inputs.A.shape[1]
    return max(1, min(torch.get_num_threads(), numbers // _NUMBERS_OF_A_THREAD))


def _in_order(parts: Tensor) -> Tensor:
    """The sum over the first axis, one after the other: torch may divide it among threads."""
    if len(parts) == 0:
        return parts.new_zeros(parts.shape[1:])
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total


def _check(code: int) -> None:
    if code:
        raise MemoryError("the selective scan could not get memory for its tiles")
