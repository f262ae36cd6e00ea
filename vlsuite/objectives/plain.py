"""Losses of single samples: no collectives, no pairs, whatever the model gives."""

from typing import Any

from vlsuite.batches.batch import Batch
from vlsuite.objectives.objective import Losses, Objective


class PlainObjective(Objective):
    """A mean over the samples of a micro-batch; the step averages over micro-batches and ranks.

    Every micro-batch holds as many samples, so the result is the mean over the global batch where
    the loss is a mean over samples; one that divides by anything else (tokens, boxes) is averaged
    as it is. Parameters here are local: the step averages their gradients over ranks.
    """

    def forward(self, output: Any, batch: Batch) -> Losses:
        """Loss of one micro-batch of this rank.

        Args:
            output: of the model.
            batch: that it was given, on the CPU.
        """
        raise NotImplementedError
