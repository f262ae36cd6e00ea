"""One optimizer step of a loss that is a mean over single samples (see ``objectives.plain``)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from vlsuite.batches.batch import Batch
from vlsuite.engine.joint_clipping import loss_scale
from vlsuite.engine.steps import steps
from vlsuite.engine.steps.dropout import seed_dropout
from vlsuite.objectives.objective import Losses
from vlsuite.objectives.plain import PlainObjective


@steps.register("plain")
def plain_step(
    engine: Any,
    objective: PlainObjective,
    micro_batches: Sequence[Batch],
    *,
    encode: Callable[[Batch], Any],
    world_size: int,
    step_seed: int,
) -> Losses:
    """Mean loss over micro-batches and processes; see ``Step``."""
    count = len(micro_batches)
    found = []
    for number, batch in enumerate(micro_batches):
        seed_dropout(step_seed, number)
        losses = objective(encode(batch), batch)
        found.append(losses)
        engine.backward(losses.total / count, scale_wrt_gas=False)
        if number == count - 1:
            for parameter in objective.parameters():
                if parameter.grad is not None:
                    unscaled = parameter.grad / loss_scale(engine.optimizer)
                    parameter.grad = _mean_over_ranks(unscaled, world_size)
        engine.step()
    names = found[0].terms
    terms = {n: _mean([losses.terms[n] for losses in found], world_size) for n in names}
    return Losses(_mean([losses.total for losses in found], world_size), terms)


def _mean(values: Sequence[Tensor], world_size: int) -> Tensor:
    return _mean_over_ranks(torch.stack([v.detach().float() for v in values]).mean(), world_size)


def _mean_over_ranks(value: Tensor, world_size: int) -> Tensor:
    if world_size > 1:
        dist.all_reduce(value)
    return value / world_size
