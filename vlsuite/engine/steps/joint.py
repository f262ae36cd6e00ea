"""One optimizer step of a model that scores its pairs itself (see ``objectives.joint``)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from vlsuite.batches.batch import Batch
from vlsuite.batches.pairs import PairBatch
from vlsuite.engine.joint_clipping import loss_scale
from vlsuite.engine.steps import steps
from vlsuite.engine.steps.dropout import seed_dropout
from vlsuite.objectives.joint import JointObjective
from vlsuite.objectives.objective import Losses
from vlsuite.objectives.pair_keys import pair_keys


@steps.register("joint")
def joint_step(
    engine: Any,
    objective: JointObjective,
    micro_batches: Sequence[PairBatch],
    *,
    encode: Callable[[Batch], Any],
    world_size: int,
    step_seed: int,
) -> Losses:
    """Mean loss of the micro-batches, each over the pairs of all processes; see ``Step``."""
    count = len(micro_batches)
    found = []
    for number, batch in enumerate(micro_batches):
        seed_dropout(step_seed, number)
        losses = objective(encode(batch), pair_keys([batch]).to(engine.device))
        found.append(losses)
        # The engine averages over processes; each one's share of the global loss is wanted.
        engine.backward(losses.total * (world_size / count), scale_wrt_gas=False)
        if number == count - 1:
            for parameter in objective.parameters():
                if parameter.grad is not None:
                    parameter.grad /= world_size * loss_scale(engine.optimizer)
        engine.step()
    return _mean(found)


def _mean(found: Sequence[Losses]) -> Losses:
    total = torch.stack([losses.total.detach() for losses in found]).mean()
    names = found[0].terms
    terms = {n: torch.stack([losses.terms[n].detach() for losses in found]).mean() for n in names}
    return Losses(total, terms)
