"""Do the scans of Mamba-1 and Mamba-2 give what the authors' plain torch references give?

Outputs, last states and the gradients of every input, on the same random tensors in fp32, for
``selective_scan_ref``, ``ssd_minimal_discrete`` and ``ssd_chunk_scan_combined_ref`` of a clone of
github.com/state-spaces/mamba (``--peer``); values alone for ``selective_state_update_ref``, a token
at a time. Differences are shares of the largest entry of the reference's tensor.
"""

import argparse
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import mamba_ssm
from benchmarks.peers.mamba_ssm import Case
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from vlsuite.layers.selective_scan.scan import scan_step, selective_scan
from vlsuite.layers.state_space_duality import ssd, ssd_step

#: Of the largest entry: sums of some hundred fp32 numbers in another order.
GOAL = 1e-5

Named = dict[str, Tensor]


def channel_inputs(generator: torch.Generator, *, length: int | None) -> Named:
    """Of Mamba-1; without a length of one token and the state before it."""
    time = [] if length is None else [length]
    sizes = {"x": [2, *time, 48], "dt": [2, *time, 48], "A": [48, 16], "B": [2, *time, 16],
             "C": [2, *time, 16], "D": [48], "dt_bias": [48]}  # fmt: skip
    if length is None:
        sizes["initial"] = [2, 48, 16]
    return _drawn(sizes, generator)


def head_inputs(generator: torch.Generator, *, length: int | None) -> Named:
    """Of Mamba-2; without a length of one token."""
    time = [] if length is None else [length]
    sizes = {"x": [2, *time, 4, 32], "dt": [2, *time, 4], "A": [4], "B": [2, *time, 2, 24],
             "C": [2, *time, 2, 24], "D": [4], "dt_bias": [4],
             "initial": [2, 4, 32, 24]}  # fmt: skip
    return _drawn(sizes, generator)


def _drawn(sizes: dict[str, list[int]], generator: torch.Generator) -> Named:
    found = {name: torch.randn(*size, generator=generator) for name, size in sizes.items()}
    found["A"] = -found["A"].exp()
    found["dt_bias"] = found["dt_bias"] - 4  # steps about 0.02, as of a new layer
    return found


def our_channels(i: Named) -> Named:
    found = selective_scan(
        i["x"], i["dt"], i["A"], i["B"], i["C"], i["D"], dt_bias=i["dt_bias"], softplus=True
    )
    return {"y": found.y, "state": found.final_state}


def our_minimal(i: Named) -> Named:
    found = ssd(i["x"], i["dt"], i["A"], i["B"], i["C"], initial_state=i["initial"])
    return {"y": found.y, "state": found.final_state}


def our_chunks(i: Named) -> Named:
    words = {"dt_bias": i["dt_bias"], "softplus": True}
    return {"y": ssd(i["x"], i["dt"], i["A"], i["B"], i["C"], i["D"], **words).y}


def our_channel_step(i: Named) -> Named:
    y, state = scan_step(
        i["x"], i["dt"], i["A"], i["B"], i["C"], i["D"],
        dt_bias=i["dt_bias"], softplus=True, state=i["initial"],
    )  # fmt: skip
    return {"y": y, "state": state}


def our_head_step(i: Named) -> Named:
    y, state = ssd_step(
        i["x"], i["dt"], i["A"], i["B"], i["C"], i["D"],
        dt_bias=i["dt_bias"], softplus=True, state=i["initial"],
    )  # fmt: skip
    return {"y": y, "state": state}


def questions(seed: int, length: int) -> dict[str, tuple[Callable[[Named], Named], Named]]:
    """Our function and its inputs, by name of the reference."""
    generator = torch.Generator().manual_seed(seed)
    channels = channel_inputs(generator, length=length)
    heads = head_inputs(generator, length=length)
    chunks = {name: value for name, value in heads.items() if name != "initial"}
    # short enough for a reference that takes exponentials over all tokens before it masks them
    chunks["dt_bias"] = heads["dt_bias"].clamp(max=-4) - 2
    chunks["A"] = heads["A"].clamp(min=-2)
    minimal = {name: value for name, value in heads.items() if name not in ("D", "dt_bias")}
    minimal["dt"] = torch.nn.functional.softplus(heads["dt"] - 3)
    return {
        "selective_scan_ref": (our_channels, channels),
        "ssd_minimal_discrete": (our_minimal, minimal),
        "ssd_chunk_scan_combined_ref": (our_chunks, chunks),
        "selective_state_update_ref (channels)": (
            our_channel_step,
            channel_inputs(generator, length=None),
        ),
        "selective_state_update_ref (heads)": (our_head_step, head_inputs(generator, length=None)),
    }


def our_answer(function: Callable[[Named], Named], inputs: Named) -> tuple[Case, Named]:
    """The question with weights for its outputs, and what ours gives."""
    if function in (our_channel_step, our_head_step):
        return Case(inputs, {}), function(inputs)
    own = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    outputs = function(own)
    weights = {
        name: torch.randn(value.shape, generator=torch.Generator().manual_seed(len(name)))
        for name, value in outputs.items()
    }
    total = torch.stack([(outputs[name] * weight).sum() for name, weight in weights.items()]).sum()
    gradients = torch.autograd.grad(total, list(own.values()))
    named = zip(own, gradients, strict=True)
    answer = {n: v.detach() for n, v in outputs.items()} | {f"d {n}": g for n, g in named}
    return Case(inputs, weights), answer


def compared(ours: Named, theirs: Named) -> dict[str, float]:
    """Largest difference of each tensor as a share of the reference's largest entry.

    A tensor that is not finite in either counts as a difference of 1.
    """
    assert ours.keys() == theirs.keys()
    found = {}
    for name, value in theirs.items():
        share = float((ours[name] - value).abs().max() / value.abs().max())
        found[name] = share if math.isfinite(share) else 1.0
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.mamba_parity", description=__doc__)
    parser.add_argument(
        "--peer", type=Path, required=True, metavar="FOLDER",
        help="a clone of github.com/state-spaces/mamba",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="64 tokens")
    parser.add_argument("--length", type=int, help="tokens, of 32 each (default 512; quick 64)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    return parser


def main() -> None:
    """Compare, print, and end with one JSON object."""
    args = _parser().parse_args()
    torch.set_num_threads(args.threads)
    length = args.length or (64 if args.quick else 512)
    asked = questions(args.seed, length)
    answered = {name: our_answer(function, inputs) for name, (function, inputs) in asked.items()}
    with tempfile.TemporaryDirectory() as work:
        cases = {name: case for name, (case, _) in answered.items()}
        theirs = mamba_ssm.answers(args.peer, cases, Path(work))
    rows = {name: compared(own, theirs[name]) for name, (_, own) in answered.items()}
    print(f"{'reference':<40}{'outputs':>10}{'gradients':>11}")
    for name, row in rows.items():
        outputs = max(value for key, value in row.items() if not key.startswith("d "))
        gradients = [value for key, value in row.items() if key.startswith("d ")]
        shown = f"{max(gradients):>11.1e}" if gradients else f"{'-':>11}"
        print(f"{name:<40}{outputs:>10.1e}{shown}")
    figures: dict[str, Any] = {
        "max_diff": {name: max(row.values()) for name, row in rows.items()},
        "within_goal": all(max(row.values()) <= GOAL for row in rows.values()),
        "goal": GOAL,
        "differences": rows,
        "peer": mamba_ssm.version_of(args.peer),
    }
    config = {"length": length, "threads": args.threads, "seed": args.seed}
    finish("mamba_parity", figures, describe(), config=config, save=args.save)


if __name__ == "__main__":
    run_as_program(main)
