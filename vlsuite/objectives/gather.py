"""Collectives that the objectives use, on the default process group.

Without a process group, or with one process, each is a no-op. Every rank must make the same calls
in the same order. Tested with gloo; NCCL takes the same calls.

All but the last three are not differentiable. Those are for losses that autograd computes: a
rank gathers the rows of all ranks (``gather_rows``), uses shared parameters (``replicated``),
adds up the losses of its own rows and gives the sum to ``sum_over_ranks``. Backward then leaves
the gradient of the global sum: complete for this rank's own rows and for the parameters.
"""

import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.autograd.function import once_differentiable


def world_size() -> int:
    """Number of processes, 1 without a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Index of this process, 0 without a process group."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def all_gather_rows(
    rows: Shaped[Tensor, "batch ..."],
) -> Shaped[Tensor, "global_batch ..."]:
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
    gathered = rows.new_empty(world_size() * len(rows), *rows.shape[1:])
    dist.all_gather_into_tensor(gathered, rows.contiguous())
    return gathered


def reduce_scatter_rows(
    rows: Float[Tensor, "global_batch ..."],
) -> Float[Tensor, "batch ..."]:
    """Sum over ranks, then keep this rank's equal share of the rows.

    Raises:
        ValueError: the rows do not divide evenly among the ranks.
    """
    if world_size() == 1:
        return rows
    if len(rows) % world_size():
        raise ValueError(f"{len(rows)} rows do not divide among {world_size()} ranks")
    share = rows.new_empty(len(rows) // world_size(), *rows.shape[1:])
    dist.reduce_scatter_tensor(share, rows.contiguous())
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


def of_first_rank(values: list[float]) -> list[float]:
    """What the first rank holds, in fp64."""
    if world_size() == 1:
        return values
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    held = torch.tensor(values, dtype=torch.float64, device=device)
    dist.broadcast(held, src=0)
    return held.tolist()


def gather_rows(rows: Float[Tensor, "batch ..."]) -> Float[Tensor, "global_batch ..."]:
    """:func:`all_gather_rows` with a gradient: each rank gets what all ranks say of its rows.

    Raises:
        ValueError: the ranks hold different numbers of rows.
    """
    return _GatherRows.apply(rows) if world_size() > 1 else rows


def replicated(parameter: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """A parameter that every rank holds, for use in a loss; its gradient is summed over ranks."""
    return _Replicated.apply(parameter) if world_size() > 1 else parameter


def sum_over_ranks(part: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The sum of all ranks' parts; backward goes to this rank's own part."""
    return _SumOverRanks.apply(part) if world_size() > 1 else part


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows):
        return all_gather_rows(rows)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        return reduce_scatter_rows(grad_output)


class _Replicated(torch.autograd.Function):
    @staticmethod
    def forward(ctx, parameter):
        return parameter.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        return all_reduce_sum_(grad_output.clone())


class _SumOverRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx, part):
        return all_reduce_sum_(part.clone())

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        return grad_output
