"""CPU time and peak memory of one of our scans, in a process of its own.

``python -m benchmarks.support.scan_side FILE OPTIONS``: a file of inputs, JSON options; the last
line printed is one JSON object. The peers' side measures in the same way:
``benchmarks/peers/inside/plain_scans.py``.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.support.program import run_as_program

Scan = Callable[..., Tensor]


def measure(
    inputs: dict[str, Tensor], *, form: str, what: str, repeats: int, threads: int, work: Path
) -> dict[str, Any]:
    """Time one of our forms in a process of its own.

    Args:
        inputs: by the names of ``scan_loops.Inputs``; for "ssd", by those of ``ssd``.
        form: "native", "torch", or "ssd".
        what: "forward" or "both", which is forward and backward.
    Returns:
        As ``benchmarks.peers.mamba.measure``.
    """
    from benchmarks.support.timed_process import run_timed

    given = work / f"{form}-{what}.pt"
    torch.save(inputs, given)
    options = {"form": form, "what": what, "repeats": repeats, "threads": threads}
    command = [sys.executable, "-m", "benchmarks.support.scan_side", given, json.dumps(options)]
    root = Path(__file__).resolve().parents[2]
    report = run_timed(command, cwd=root, threads=threads, log=work / f"{form}-{what}.txt")
    return json.loads(report.lines[-1].text)


def main() -> None:
    """Warm up on the first 64 steps, take the memory of one call, then the time of some."""
    inputs = torch.load(sys.argv[1], weights_only=True)
    options = json.loads(sys.argv[2])
    torch.set_num_threads(options["threads"])
    scan = _scan(options["form"])
    run = {"forward": _forward, "both": _both}[options["what"]]
    short = {name: inputs[name][:, :64] for name in ("x", "dt", "B", "C")}
    run(scan, {**inputs, **short})
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    y = run(scan, inputs)
    peak = _resident("VmHWM") - before
    seconds = []
    for _ in range(options["repeats"]):
        begin = time.process_time()
        run(scan, inputs)
        seconds.append(time.process_time() - begin)
    file = Path(sys.argv[1]).with_suffix(".y.pt")
    torch.save(y, file)
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "y": str(file)}))


def _scan(form: str) -> Scan:
    if form == "ssd":
        from vlsuite.layers.state_space_duality import (  # pyright: ignore[reportMissingImports]
            ssd,
        )

        return lambda dt_bias, **given: ssd(
            **given, dt_bias=dt_bias, softplus=True, initial_state=None
        )[0]
    os.environ["VLSUITE_SCAN"] = form
    from vlsuite.layers.selective_scan import selective_scan

    return lambda dt_bias, **given: selective_scan(**given, dt_bias=dt_bias, softplus=True).y


def _forward(scan: Scan, inputs: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return scan(**inputs)


def _both(scan: Scan, inputs: dict[str, Tensor]) -> Tensor:
    leaves = {name: value.detach().requires_grad_() for name, value in inputs.items()}
    y = scan(**leaves)
    torch.autograd.grad(y, list(leaves.values()), torch.ones_like(y))
    return y.detach()


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


if __name__ == "__main__":
    run_as_program(main)
