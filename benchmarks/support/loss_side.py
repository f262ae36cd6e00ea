"""One side of a loss comparison, measured alone in a fresh process (see loss_memory)."""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from open_clip.loss import ClipLoss, SigLipLoss
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.support.program import run_as_program
from vlsuite.objectives import registry

Side = Literal["ours", "peer"]
PEERS = {"clip": ClipLoss, "siglip": SigLipLoss}
# Cosine of a matching pair is about 0.3, that of others about 0, as early in real training.
_PAIR_NOISE = 3.0
_WARM_UP_PAIRS = 1024
_RESERVED_BYTES = 512 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class SideConfig:
    """One measurement; ``tile_size`` None lets the objective choose, the peer has no tiles."""

    side: Side
    objective: str
    batch: int
    dim: int
    seed: int
    device: str
    tile_size: int | None = None
    dtype: str = "float32"
    runs: int = 1


class Measurement(NamedTuple):
    """Times in seconds, peak memory in bytes above what was in use right before the loss."""

    seconds: list[float]
    peak_bytes: int
    loss: float


def loss_and_gradients(config: SideConfig) -> Callable[[], dict[str, Tensor]]:
    """Embeddings ready in memory, and a function that runs the loss forward and backward."""
    images, texts = _pairs(config)
    objective = registry.get(config.objective)(tile_size=config.tile_size).build()
    objective = objective.to(config.device, getattr(torch, config.dtype))
    parameters = dict(objective.named_parameters())
    log_scale, *bias = parameters.values()
    peer = PEERS[config.objective]()

    def run() -> dict[str, Tensor]:
        if config.side == "ours":
            loss = objective(images, texts).total
        else:
            loss = peer(images, texts, log_scale.exp(), *bias)
        gradients = torch.autograd.grad(loss, [images, texts, *parameters.values()])
        names = ["image_embeds", "text_embeds", *parameters]
        return {"loss": loss.detach(), **dict(zip(names, gradients, strict=True))}

    return run


def _pairs(config: SideConfig) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(config.seed)
    shape = (config.batch, config.dim)
    images = F.normalize(torch.randn(shape, generator=generator), dim=1)
    noise = F.normalize(torch.randn(shape, generator=generator), dim=1)
    texts = F.normalize(images + _PAIR_NOISE * noise, dim=1)
    kind = {"device": config.device, "dtype": getattr(torch, config.dtype)}
    return images.to(**kind).requires_grad_(), texts.to(**kind).requires_grad_()


def measure(config: SideConfig, gradients: Path | None) -> Measurement:
    """Warm up on few pairs, then run at full size; write the gradients if asked to."""
    few = min(config.batch, _WARM_UP_PAIRS)
    loss_and_gradients(replace(config, batch=few))()
    run = loss_and_gradients(config)
    used_before = _start_memory(config.device)
    seconds, losses, result = [], [], {}
    for _ in range(config.runs):
        result.clear()
        start = time.perf_counter()
        result |= run()
        losses.append(result.pop("loss").item())  # waits for the device
        seconds.append(time.perf_counter() - start)
    peak_bytes = _peak_memory(config.device) - used_before
    if gradients is not None:
        save_file({name: value.cpu().contiguous() for name, value in result.items()}, gradients)
    return Measurement(seconds, peak_bytes, losses[-1])


def _start_memory(device: str) -> int:
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM, proc(5)
    return _status_bytes("VmRSS")


def _peak_memory(device: str) -> int:
    return torch.cuda.max_memory_allocated() if device == "cuda" else _status_bytes("VmHWM")


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _fail_rather_than_swap() -> None:
    """Let an allocation beyond the free memory fail cleanly instead of rousing the OOM killer."""
    Path("/proc/self/oom_score_adj").write_text("1000")
    memory = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) * 1024 for line in memory if line.startswith("MemAvailable"))
    limit = _status_bytes("VmSize") + free - _RESERVED_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Measure what the one argument, a SideConfig as JSON, asks for; print a Measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="SideConfig as JSON")
    parser.add_argument("--gradients", type=Path, help="write gradients to this safetensors file")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    config = SideConfig(**json.loads(args.config))
    torch.set_num_threads(args.threads)
    if config.device == "cpu":
        _fail_rather_than_swap()
    print(json.dumps(measure(config, args.gradients)._asdict()))


if __name__ == "__main__":
    run_as_program(main)
