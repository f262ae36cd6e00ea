"""Collectives that the objectives use, on the default process group.

Without a process group, or with one process, each is a no-op. None is differentiable: the
objectives compute their own gradients and pass them on with these same functions. Every rank must
make the same calls in the same order. Tested with gloo; NCCL takes the same calls.
"""

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor


def world_size() -> int:
    """Number of processes, 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Index of this process, 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def all_gather_rows(
    rows: Float[Tensor, "batch embed_dim"],
) -> Float[Tensor, "global_batch embed_dim"]:
    """Stack the rows of all ranks in rank order, in the dtype given.

    Raises:
        ValueError: the ranks hold different numbers of rows; raised on every rank, none hangs.
    """
    if world_size() == 1:
        return rows
    lengths = torch.empty(world_size(), dtype=torch.int64, device=rows.device)
    dist.all_gather_into_tensor(lengths, lengths.new_tensor([len(rows)]))
    if lengths.ne(len(rows)).any():
        raise ValueError(
            f"every rank needs the same local batch, but ranks 0 to {world_size() - 1} hold "
            f"{lengths.tolist()} samples; drop or carry over the last incomplete global batch"
        )
    gathered = rows.new_empty(world_size() * len(rows), rows.shape[1])
    dist.all_gather_into_tensor(gathered, rows.contiguous())
    return gathered


def reduce_scatter_rows(
    rows: Float[Tensor, "global_batch embed_dim"],
) -> Float[Tensor, "batch embed_dim"]:
    """Sum over ranks, then keep this rank's equal share of the rows.

    Raises:
        ValueError: the rows do not divide evenly among the ranks.
    """
    if world_size() == 1:
        return rows
    if len(rows) % world_size():
        raise ValueError(f"{len(rows)} rows do not divide among {world_size()} ranks")
    share = rows.new_empty(len(rows) // world_size(), rows.shape[1])
    dist.reduce_scatter_tensor(share, rows)
    return share


def all_reduce_sum_(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Sum over ranks, in place."""
    if world_size() > 1:
        dist.all_reduce(values, op=dist.ReduceOp.SUM)
    return values


def all_reduce_max_(values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Largest value over ranks, in place."""
    if world_size() > 1:
        dist.all_reduce(values, op=dist.ReduceOp.MAX)
    return values
