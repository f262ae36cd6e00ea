"""Share the rows of a data set among the processes of a run, and bring the results together.

Every process gets equally many rows, repeats filling the last shares up: a ZeRO-3 model gathers
its weights in each forward, so all processes must make the same number of calls.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Int64
from torch import Tensor


class Ranks(NamedTuple):
    """Number of this process and how many there are."""

    rank: int
    world_size: int


def ranks() -> Ranks:
    """This process among those of the default process group; (0, 1) without one."""
    if dist.is_available() and dist.is_initialized():
        return Ranks(dist.get_rank(), dist.get_world_size())
    return Ranks(0, 1)


def my_rows(count: int) -> Int64[np.ndarray, " share"]:
    """Which of ``count`` rows this process works on: a block, its end filled with the last row.

    Args:
        count: at least 1.
    """
    rank, world_size = ranks()
    share = -(-count // world_size)
    return np.minimum(np.arange(rank * share, (rank + 1) * share, dtype=np.int64), count - 1)


def gather_rows(local: Tensor, count: int, *, device: torch.device | str) -> Tensor:
    """Join the shares that ``my_rows`` gave out, in order, without the filling.

    Args:
        local: [share, ...] of this process.
        count: rows in all.
        device: where the process group can send tensors from.
    Returns:
        [count, ...] on the CPU, the same on every process.
    """
    world_size = ranks().world_size
    if world_size == 1:
        return local.cpu()
    sent = local.to(device).contiguous()
    shares = [torch.empty_like(sent) for _ in range(world_size)]
    dist.all_gather(shares, sent)
    return torch.cat([share.cpu() for share in shares])[:count]


def from_all(value: Any) -> list[Any]:
    """What each process has, in the order of their numbers; the same on every process.

    Args:
        value: can be pickled.
    """
    if ranks().world_size == 1:
        return [value]
    gathered: list[Any] = [None] * ranks().world_size
    dist.all_gather_object(gathered, value)
    return gathered


def all_agree(condition: bool, *, device: torch.device | str) -> bool:
    """Whether the condition holds on every process."""
    if ranks().world_size == 1:
        return condition
    flag = torch.tensor([int(condition)], device=device)
    dist.all_reduce(flag, op=dist.ReduceOp.MIN)
    return bool(flag.item())


def barrier(*, device: torch.device | str) -> None:
    """Wait until every process is here."""
    all_agree(True, device=device)
