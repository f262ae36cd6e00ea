"""Fit CLIP_benchmark's own linear probe on features that are given.

Runs inside the peer's environment (see peers/clip_benchmark.py), so it imports nothing of ours. The
probe insists on a GPU; its calls of ``cuda`` are made to do nothing, the rest is as published. The
last line printed is one JSON object.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from clip_benchmark.metrics import linear_probe  # pyright: ignore[reportMissingImports]


class _Device(str):
    """The CPU under the name that the probe asks for."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other == "cuda" or str.__eq__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


def main() -> None:
    """Print its scores, and the seconds of the whole search."""
    args = _parse()
    stay: Any = lambda self, *rest, **named: self  # noqa: E731
    torch.nn.Module.cuda = stay
    torch.Tensor.cuda = stay
    torch.manual_seed(args.seed)
    started, used = time.perf_counter(), time.process_time()
    found = linear_probe.evaluate(
        torch.nn.Identity(),
        None,
        None,
        -1,
        args.batch_size,
        0,
        args.lr,
        args.epochs,
        args.features.name,
        args.seed,
        str(args.features.parent),
        _Device("cpu"),
        val_dataloader=True,
        amp=False,
    )
    seconds = {"wall_s": time.perf_counter() - started, "cpu_s": time.process_time() - used}
    scores = {name: float(found[name]) for name in ("lp_acc1", "weight_decay")}
    print(json.dumps(scores | seconds))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", required=True, type=Path, help="folder of features_*.pt")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
