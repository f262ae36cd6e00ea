"""CPU time and peak memory of one selective scan in plain torch by others.

Runs inside the peers' environment (see peers/mamba.py), so it imports nothing of ours. Takes a file
of inputs and JSON options; the last line printed is one JSON object.
"""

import importlib.metadata
import importlib.util
import json
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

Series = dict[str, torch.Tensor]


def main() -> None:
    """Warm up on the first 64 steps, take the memory of one call, then the time of some."""
    inputs = torch.load(sys.argv[1], weights_only=True)
    options = json.loads(sys.argv[2])
    torch.set_num_threads(options["threads"])
    scan = {"ref": reference, "mambapy": mambapy}[options["peer"]]()
    run = {"forward": forward, "both": both}[options["what"]]
    short = {name: inputs[name][:, :64] for name in ("x", "dt", "B", "C")}
    run(scan, {**inputs, **short})
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    y = run(scan, inputs)
    peak = resident("VmHWM") - before
    seconds = []
    for _ in range(options["repeats"]):
        begin = time.process_time()
        run(scan, inputs)
        seconds.append(time.process_time() - begin)
    file = Path(sys.argv[1]).with_suffix(".y.pt")
    torch.save(y, file)
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "y": str(file)}))


def reference() -> Callable[..., torch.Tensor]:
    """selective_scan_ref of the installed file, without what it imports beside torch and einops."""
    files = importlib.metadata.files("mamba-ssm") or []
    (path,) = (file for file in files if file.name == "selective_scan_interface.py")
    for name in ("mamba_ssm", "mamba_ssm.utils", "mamba_ssm.utils.torch", "mamba_ssm.ops",
                 "mamba_ssm.ops.triton", "mamba_ssm.ops.triton.layer_norm",
                 "selective_scan_cuda"):  # fmt: skip
        sys.modules[name] = types.ModuleType(name)
    stubs: Any = sys.modules["mamba_ssm.utils.torch"]
    stubs.custom_fwd = stubs.custom_bwd = lambda function: function
    norm: Any = sys.modules["mamba_ssm.ops.triton.layer_norm"]
    norm._layer_norm_fwd = None
    spec = importlib.util.spec_from_file_location("interface", str(path.locate()))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def scan(x: Any, dt: Any, A: Any, B: Any, C: Any, D: Any, dt_bias: Any) -> torch.Tensor:
        turned = (series.transpose(1, 2) for series in (x, dt))
        B, C = B.transpose(1, 2), C.transpose(1, 2)
        y = module.selective_scan_ref(*turned, A, B, C, D, delta_bias=dt_bias, delta_softplus=True)
        return y.transpose(1, 2)

    return scan


def mambapy() -> Callable[..., torch.Tensor]:
    """The scan of mambapy's block, with the step finished as the block does."""
    from mambapy.mamba import MambaBlock  # pyright: ignore[reportMissingImports]

    def scan(x: Any, dt: Any, A: Any, B: Any, C: Any, D: Any, dt_bias: Any) -> torch.Tensor:
        return MambaBlock.selective_scan(None, x, F.softplus(dt + dt_bias), A, B, C, D)

    return scan


def forward(scan: Callable[..., torch.Tensor], inputs: Series) -> torch.Tensor:
    """One call without gradients."""
    with torch.no_grad():
        return scan(**inputs)


def both(scan: Callable[..., torch.Tensor], inputs: Series) -> torch.Tensor:
    """One call and the gradients of all inputs."""
    leaves = {name: value.detach().requires_grad_() for name, value in inputs.items()}
    y = scan(**leaves)
    torch.autograd.grad(y, list(leaves.values()), torch.ones_like(y))
    return y.detach()


def resident(field: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


if __name__ == "__main__":
    main()
