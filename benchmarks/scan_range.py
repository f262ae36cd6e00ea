"""Is the selective scan finite and itself over the whole range of decays and steps?

Decays A from -64 to -0.01 with steps up to 5, fp32 and bf16, outputs and all gradients of every
form; gradients against finite differences in float64; the scan in pieces, and token by token,
against the whole.
"""

import argparse
import os
from typing import Any

import torch
from torch import Tensor

from benchmarks.support import scan_loops
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.scan_loops import Inputs, largest_error
from vlsuite.layers.selective_scan import chosen_path, scan_step, selective_scan

DECAYS = (-64.0, -16.0, -4.0, -1.0, -0.1, -0.01)
STEPS = (0.0, 1e-4, 1e-2, 0.15, 1.0, 5.0)
_CLOSE = 1e-5


def in_range(length: int, seed: int) -> Inputs:
    """A channel for every step, at most so long; a state for every decay."""
    generator = torch.Generator().manual_seed(seed)
    d, n = len(STEPS), len(DECAYS)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    largest = torch.tensor(STEPS)
    return Inputs(
        x=normal(2, length, d),
        dt=largest * torch.rand(2, length, d, generator=generator).sqrt(),
        A=torch.tensor(DECAYS).expand(d, n).contiguous(),
        B=normal(2, length, n),
        C=normal(2, length, n),
        D=normal(d),
        dt_bias=torch.zeros(d),
        initial_state=normal(2, d, n),
    )


def scan(inputs: Inputs) -> Any:
    """With steps as they are."""
    *series, bias, state = inputs
    return selective_scan(*series, dt_bias=bias, initial_state=state)


def non_finite(inputs: Inputs, dtype: torch.dtype) -> int:
    """Outputs and gradients that are not finite."""
    low = {name: getattr(inputs, name).to(dtype) for name in ("x", "dt", "B", "C")}
    leaves = Inputs(*(v.clone().requires_grad_() for v in inputs._replace(**low)))
    out = scan(leaves)
    ones = [torch.ones_like(value) for value in out]
    found = [*out, *torch.autograd.grad(tuple(out), leaves, ones)]
    return sum(int((~value.isfinite()).sum()) for value in found)


def error_in_pieces(inputs: Inputs, whole: Any, piece: int) -> float:
    """Scanned piece by piece, the state carried."""
    state, found = inputs.initial_state, []
    for begin in range(0, inputs.x.shape[1], piece):
        here = slice(begin, begin + piece)
        part = {name: getattr(inputs, name)[:, here] for name in ("x", "dt", "B", "C")}
        y, state = scan(inputs._replace(**part, initial_state=state))
        found.append(y)
    return max(
        largest_error(torch.cat(found, 1), whole.y.double()),
        largest_error(state, whole.final_state.double()),
    )


def error_of_steps(inputs: Inputs, whole: Any) -> float:
    """Token by token."""
    state, found = inputs.initial_state, []
    for t in range(inputs.x.shape[1]):
        y, state = scan_step(
            inputs.x[:, t], inputs.dt[:, t], inputs.A, inputs.B[:, t], inputs.C[:, t], inputs.D,
            dt_bias=inputs.dt_bias, state=state,
        )  # fmt: skip
        found.append(y)
    return max(
        largest_error(torch.stack(found, 1), whole.y.double()),
        largest_error(state, whole.final_state.double()),
    )


def gradcheck(seed: int) -> bool:
    """Every gradient against finite differences, in float64."""
    inputs = [v.double().requires_grad_() for v in in_range(9, seed)]
    inputs[1].data += 0.01  # a step of 0 has no difference to one side
    return torch.autograd.gradcheck(lambda *given: tuple(scan(Inputs(*given))), inputs)


def of_form(form: str, length: int, seed: int) -> dict[str, Any]:
    """All figures of one form."""
    os.environ["VLSUITE_SCAN"] = form
    inputs = in_range(length, seed)
    whole = scan(inputs)
    y, final = scan_loops.scan(inputs, softplus=False)
    found = {
        "non_finite_fp32": non_finite(inputs, torch.float32),
        "non_finite_bf16": non_finite(inputs, torch.bfloat16),
        "error_vs_float64": max(largest_error(whole.y, y), largest_error(whole.final_state, final)),
        "chunked_error": max(error_in_pieces(inputs, whole, piece) for piece in (1, 64, 100, 333)),
        "one_step_error": error_of_steps(inputs, whole),
    }
    del os.environ["VLSUITE_SCAN"]
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.scan_range", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="300 steps instead of 4,096")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    return parser


def main() -> None:
    """Try every form, print, and end with one JSON object."""
    args = _parser().parse_args()
    torch.set_num_threads(args.threads)
    length = 300 if args.quick else 4096
    forms = ["torch"]
    if chosen_path("cpu").name == "native":
        forms.insert(0, "native")
    rows = {form: of_form(form, length, args.seed) for form in forms}
    for form, row in rows.items():
        print(f"{form:8}" + ", ".join(f"{name} {value:.3g}" for name, value in row.items()))
    checked = gradcheck(args.seed)
    print(f"gradcheck in float64: {checked}")
    figures = {
        "non_finite_fp32": sum(row["non_finite_fp32"] for row in rows.values()),
        "non_finite_bf16": sum(row["non_finite_bf16"] for row in rows.values()),
        "gradcheck": checked,
        "chunked_equals_whole": all(row["chunked_error"] <= _CLOSE for row in rows.values()),
        "one_step_equals_whole": all(row["one_step_error"] <= _CLOSE for row in rows.values()),
        "forms": rows,
    }
    config = {"length": length, "decays": DECAYS, "steps": STEPS, "close": _CLOSE,
              "seed": args.seed, "threads": args.threads}  # fmt: skip
    finish("scan_range", figures, describe(), config=config, save=args.save)


if __name__ == "__main__":
    run_as_program(main)
