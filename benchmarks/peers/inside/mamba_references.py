"""What the plain torch references of mamba-ssm give, values and gradients.

Runs in a process of its own (see peers/mamba_ssm.py) and imports nothing of ours. The references
stand in files of Triton kernels; something that does nothing takes Triton's place, since none of
them calls a kernel. Takes the folder of the package's sources, a file
of inputs and one for the outputs.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

Named = dict[str, Tensor]


class _Nothing(ModuleType):
    """Whatever it is asked for, called with or gone through for is itself."""

    __version__ = "3.5.0"

    def __getattr__(self, name: str) -> "_Nothing":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: object, **__: object) -> "_Nothing":
        return self

    def __getitem__(self, _: object) -> "_Nothing":
        return self

    def __iter__(self) -> Iterator["_Nothing"]:
        return iter([self])

    def __le__(self, _: object) -> bool:
        return True


def main() -> None:
    """Answer every case of the file of inputs."""
    folder, given, out = sys.argv[1:]
    nothing = _Nothing("triton")
    sys.modules |= {"triton": nothing, "triton.language": nothing}
    package = ModuleType("mamba_ssm")  # its own __init__ imports every layer
    package.__path__ = [f"{folder}/mamba_ssm"]
    sys.modules["mamba_ssm"] = package
    cases = torch.load(given, weights_only=True)
    torch.save({name: _answer(REFERENCES[name], case) for name, case in cases.items()}, out)


def _answer(reference: Callable[[Named], Named], case: dict[str, Named]) -> Named:
    if not case["weights"]:
        with torch.no_grad():
            return reference(case["inputs"])
    inputs = {name: tensor.requires_grad_() for name, tensor in case["inputs"].items()}
    outputs = reference(inputs)
    total = sum((outputs[name] * weight).sum() for name, weight in case["weights"].items())
    gradients = torch.autograd.grad(total, list(inputs.values()))  # type: ignore[arg-type]
    named = zip(inputs, gradients, strict=True)
    return {n: v.detach() for n, v in outputs.items()} | {f"d {n}": g for n, g in named}


def _from(module: str, name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module(f"mamba_ssm.{module}"), name)


def _selective_scan(i: Named) -> Named:
    y, state = _from("ops.selective_scan_interface", "selective_scan_ref")(
        *(_turned(i[name]) for name in ("x", "dt")), i["A"], _turned(i["B"]), _turned(i["C"]),
        i["D"], delta_bias=i["dt_bias"], delta_softplus=True, return_last_state=True,
    )  # fmt: skip
    return {"y": _turned(y), "state": state}


def _ssd_minimal(i: Named) -> Named:
    """Of finished steps, heads with a B and C each, and blocks that divide the length."""
    each = i["x"].shape[2] // i["B"].shape[2]
    B, C = (i[name].repeat_interleave(each, dim=2) for name in ("B", "C"))
    y, state = _from("modules.ssd_minimal", "ssd_minimal_discrete")(
        i["x"] * i["dt"][..., None], i["A"] * i["dt"], B, C, 32, i["initial"][:, None]
    )
    return {"y": y, "state": state}


def _ssd_chunks(i: Named) -> Named:
    y = _from("ops.triton.ssd_combined", "ssd_chunk_scan_combined_ref")(
        i["x"], i["dt"], i["A"], i["B"], i["C"], 32, i["D"], dt_bias=i["dt_bias"], dt_softplus=True
    )
    return {"y": y}


def _channel_step(i: Named) -> Named:
    """Values alone: the reference writes the state in place, which has no gradient."""
    state = i["initial"].clone()
    y = _from("ops.triton.selective_state_update", "selective_state_update_ref")(
        state, i["x"], i["dt"], i["A"], i["B"], i["C"], i["D"], dt_bias=i["dt_bias"],
        dt_softplus=True,
    )  # fmt: skip
    return {"y": y, "state": state}


def _head_step(i: Named) -> Named:
    state = i["initial"].clone()
    _, _, width, states = state.shape
    A = i["A"][:, None, None].expand(-1, width, states)
    dt = i["dt"][..., None].expand(-1, -1, width)
    D, dt_bias = (i[name][:, None].expand(-1, width) for name in ("D", "dt_bias"))
    y = _from("ops.triton.selective_state_update", "selective_state_update_ref")(
        state, i["x"], dt, A, i["B"], i["C"], D, dt_bias=dt_bias, dt_softplus=True
    )
    return {"y": y, "state": state}


def _turned(series: Tensor) -> Tensor:
    return series.transpose(1, 2)


REFERENCES: dict[str, Callable[[Named], Named]] = {
    "selective_scan_ref": _selective_scan,
    "ssd_minimal_discrete": _ssd_minimal,
    "ssd_chunk_scan_combined_ref": _ssd_chunks,
    "selective_state_update_ref (channels)": _channel_step,
    "selective_state_update_ref (heads)": _head_step,
}


if __name__ == "__main__":
    main()
