"""How fast, small and exact is Mamba's selective scan on a processor, next to those in plain torch?

Each side runs in a process of its own, a call on 64 steps for a warm-up: CPU time (median of the
repeats) and peak memory above what the process held before. Peers: ``selective_scan_ref`` of
mamba-ssm, forward (its way back is quadratic in the length: one comparison, at 1,024 steps), and
``pscan`` of mamba.py, forward and backward. Errors are those against float64 loops over a long
series, as a share of the largest entry.
"""

import argparse
import importlib.util
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers import mamba
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support import scan_loops, scan_side
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish

#: Length and channels; 16 states, one row.
SHAPES = ((1024, 256), (4096, 256), (2048, 1536))
_STATES = 16
_OUR_FORMS = ("native", "torch")
#: Longest series that the peers' ways back are asked for.
_REF_BACK, _PSCAN = 1024, 4096 * 256


class Bench:
    """Measurements of one shape after the other, in a folder for their files."""

    def __init__(self, peers: PeerEnvironment, args: argparse.Namespace, work: Path) -> None:
        self._peers, self._work, self._seed = peers, work, args.seed
        self._threads, self._repeats = args.threads, args.repeats

    def shape(self, length: int, channels: int) -> dict[str, Any]:
        """All sides at this shape: ``SIDE_WHAT`` to seconds, spread, peak MB, and the ratios."""
        inputs = scan_loops.made_up(1, length, channels, _STATES, seed=self._seed)._asdict()
        del inputs["initial_state"]
        row: dict[str, Any] = {"length": length, "channels": channels}
        for what in ("forward", "both"):
            for form in _OUR_FORMS:
                row[f"{form}_{what}"] = self._ours(inputs, form, what)
        row["ref_forward"] = self._peer(inputs, "ref", "forward")
        if length <= _REF_BACK:
            row["ref_both"] = self._peer(inputs, "ref", "both", repeats=2)
        if length * channels <= _PSCAN:
            row["mambapy_both"] = self._peer(inputs, "mambapy", "both")
        if importlib.util.find_spec("vlsuite.layers.state_space_duality") is not None:
            heads = _ssd_inputs(length, channels, self._seed)
            for what in ("forward", "both"):
                row[f"ssd_{what}"] = self._ours(heads, "ssd", what)
        self._compare_outputs(row)
        return row | _ratios(row)

    def _ours(self, inputs: dict[str, Tensor], form: str, what: str) -> dict[str, Any]:
        return _summary(
            scan_side.measure(
                inputs, form=form, what=what, repeats=self._repeats, threads=self._threads,
                work=self._work,
            )
        )  # fmt: skip

    def _peer(
        self, inputs: dict[str, Tensor], peer: str, what: str, repeats: int | None = None
    ) -> dict[str, Any]:
        return _summary(
            mamba.measure(
                self._peers, inputs, peer=peer, what=what, repeats=repeats or self._repeats,
                threads=self._threads, work=self._work,
            )
        )  # fmt: skip

    def _compare_outputs(self, row: dict[str, Any]) -> None:
        """Largest difference of a form from the reference's output, then the files go."""
        wanted = torch.load(row["ref_forward"]["y"], weights_only=True).double()
        for form in _OUR_FORMS:
            found = torch.load(row[f"{form}_forward"]["y"], weights_only=True)
            row[f"{form}_difference_from_ref"] = scan_loops.largest_error(found, wanted)
        for side in row.values():
            if isinstance(side, dict):
                Path(side.pop("y")).unlink(missing_ok=True)


def _summary(measured: dict[str, Any]) -> dict[str, Any]:
    seconds = sorted(measured["seconds"])
    return {
        "seconds": statistics.median(seconds),
        "lowest": seconds[0],
        "highest": seconds[-1],
        "peak_mb": measured["peak_bytes"] / 2**20,
        "y": measured["y"],
    }


def _ssd_inputs(length: int, channels: int, seed: int) -> dict[str, Tensor]:
    """As many channels in heads of 64, with 64 states."""
    generator = torch.Generator().manual_seed(seed)
    heads = channels // 64

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "x": normal(1, length, heads, 64), "dt": 0.5 * normal(1, length, heads),
        "A": -1 - 15 * torch.rand(heads, generator=generator), "B": normal(1, length, 1, 64),
        "C": normal(1, length, 1, 64), "D": normal(heads), "dt_bias": 0.3 * normal(heads) - 2.2,
    }  # fmt: skip


def _ratios(row: dict[str, Any]) -> dict[str, Any]:
    """How many times longer the peer takes: of the medians, and the farthest of both spreads."""
    found: dict[str, Any] = {}
    pairs = [("fwd_ratio_vs_ref", "forward", "ref"), ("fwdbwd_ratio_vs_ref", "both", "ref"),
             ("fwdbwd_ratio_vs_mambapy", "both", "mambapy")]  # fmt: skip
    for form in _OUR_FORMS:
        prefix = "" if form == "native" else f"{form}_"
        for name, what, peer in pairs:
            ours, theirs = row[f"{form}_{what}"], row.get(f"{peer}_{what}")
            if theirs is not None:
                found[f"{prefix}{name}"] = theirs["seconds"] / ours["seconds"]
                found[f"{prefix}{name}_spread"] = [
                    theirs["lowest"] / ours["highest"],
                    theirs["highest"] / ours["lowest"],
                ]
        if "mambapy_both" in row:
            ours, theirs = row[f"{form}_both"]["peak_mb"], row["mambapy_both"]["peak_mb"]
            found[f"{prefix}memory_ratio"] = ours / theirs
    return found


def long_errors(length: int, channels: int, seed: int) -> dict[str, dict[str, float]]:
    """Of every form: errors of the output and of each gradient against float64 loops."""
    from vlsuite.layers.selective_scan import selective_scan

    inputs = scan_loops.made_up(1, length, channels, _STATES, seed=seed)
    y, final = scan_loops.scan(inputs, softplus=True)
    generator = torch.Generator().manual_seed(seed + 1)
    dy = torch.randn(y.shape, generator=generator)
    dfinal = torch.randn(final.shape, generator=generator)
    wanted = scan_loops.gradients(inputs, dy, dfinal, softplus=True)
    found: dict[str, dict[str, float]] = {}
    for form in _OUR_FORMS:
        os.environ["VLSUITE_SCAN"] = form
        leaves = scan_loops.Inputs(*(value.clone().requires_grad_() for value in inputs))
        *series, bias, state = leaves
        out = selective_scan(*series, dt_bias=bias, softplus=True, initial_state=state)
        gradients = torch.autograd.grad(tuple(out), leaves, (dy, dfinal))
        errors = {"y": scan_loops.largest_error(out.y, y)}
        errors["final_state"] = scan_loops.largest_error(out.final_state, final)
        for name, one, right in zip(leaves._fields, gradients, wanted, strict=True):
            errors[f"d_{name}"] = scan_loops.largest_error(one, right)
        found[form] = errors
    del os.environ["VLSUITE_SCAN"]
    return found


def _headline(rows: list[dict[str, Any]], errors: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The worst of all shapes."""
    figures: dict[str, Any] = {}
    for form in _OUR_FORMS:
        prefix = "" if form == "native" else f"{form}_"
        for name in ("fwd_ratio_vs_ref", "fwdbwd_ratio_vs_ref", "fwdbwd_ratio_vs_mambapy"):
            there = [row[prefix + name] for row in rows if prefix + name in row]
            figures[prefix + name] = min(there, default=None)
        memory = [row[f"{prefix}memory_ratio"] for row in rows if f"{prefix}memory_ratio" in row]
        figures[f"{prefix}memory_ratio"] = max(memory, default=None)
        figures[f"{prefix}max_rel_err_out"] = max(errors[form]["y"], errors[form]["final_state"])
        figures[f"{prefix}max_rel_err_grad"] = max(
            error for name, error in errors[form].items() if name.startswith("d_")
        )
    slower = [row["ssd_both"]["seconds"] / row["native_both"]["seconds"] for row in rows
              if "ssd_both" in row]  # fmt: skip
    figures["ssd_fwdbwd_vs_native"] = max(slower, default=None)
    return figures


def _show(row: dict[str, Any]) -> None:
    print(f"length {row['length']}, {row['channels']} channels", flush=True)
    for name, side in row.items():
        if isinstance(side, dict):
            print(
                f"  {name:16}{1e3 * side['seconds']:10.1f} ms ({1e3 * side['lowest']:.1f} to "
                f"{1e3 * side['highest']:.1f}){side['peak_mb']:10.1f} MB"
            )
    for name, value in row.items():
        if isinstance(value, float):
            print(f"  {name:34}{value:12.4g}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.selective_scan", description=__doc__)
    parser.add_argument("--peer-env", type=Path, help="the peers' environment (default: made)")
    parser.add_argument("--quick", action="store_true", help="the first shape, 8,192 steps, 3 runs")
    parser.add_argument("--repeats", type=int, help="timed calls of a side (default 5; quick 3)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    return parser


def main() -> None:
    """Measure, compare, print, and end with one JSON object."""
    args = _parser().parse_args()
    args.repeats = args.repeats or (3 if args.quick else 5)
    torch.set_num_threads(args.threads)
    peers = mamba.prepare_environment(args.peer_env)
    rows = []
    with tempfile.TemporaryDirectory(prefix="selective-scan-") as work:
        bench = Bench(peers, args, Path(work))
        for length, channels in SHAPES[: 1 if args.quick else None]:
            rows.append(bench.shape(length, channels))
            _show(rows[-1])
    length, channels = (8192, 8) if args.quick else (65536, 32)
    errors = long_errors(length, channels, args.seed)
    for form, found in errors.items():
        shown = ", ".join(f"{name} {error:.1e}" for name, error in found.items())
        print(f"{form} at length {length}: {shown}")
    figures = _headline(rows, errors) | {"shapes": rows, "errors": errors}
    config = {"states": _STATES, "threads": args.threads, "repeats": args.repeats,
              "seed": args.seed, "error_length": length, "error_channels": channels,
              "peers": {**peers.versions(), "mamba-ssm": mamba.VERSION}}  # fmt: skip
    finish("selective_scan", figures, describe(), config=config, save=args.save)


if __name__ == "__main__":
    run_as_program(main)
