"""What the trainer sees of a model that scores pairs itself, beyond two embeddings."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from vlsuite.objectives import gather
from vlsuite.objectives.objective import Losses, Objective
from vlsuite.objectives.pair_keys import PairKeys


class JointObjective(Objective):
    """The loss of a model whose forward pass gives everything that it needs.

    For models with cross-attention or text generation, whose losses are no function of one
    embedding a picture and one a text. The engine calls the model once a micro-batch with
    ``encoder.inputs_of(batch)``, hands the output to ``forward``, and backpropagates.

    ``forward`` returns the global loss of the micro-batches that all ranks hold at this moment:
    ``total`` has the same value on every rank, and its backward leaves the gradient of that
    global loss for this rank's outputs, complete for the parameters here (see ``gather``:
    ``gather_rows``, ``replicated``, ``sum_over_ranks``). Under accumulation the contrast is among
    the pairs of one micro-batch of all ranks, and the step's loss is their mean.

    Parameters are fp32, of shape [1], replicated, outside ZeRO, as those of ``Objective``.
    """

    def forward(self, output: Any, keys: PairKeys) -> Losses:
        """Global loss of one micro-batch.

        Args:
            output: of the model.
            keys: of this rank's pairs, by row.
        """
        raise NotImplementedError

    @property
    def logit_scale(self) -> float:
        """The multiplier now applied to cosine similarities."""
        raise NotImplementedError

    @property
    def logit_bias(self) -> float:
        """What is now added to every logit."""
        return 0.0

    def scalars(self) -> dict[str, float]:
        """The scale and the bias as they are now."""
        return {"logit_scale": self.logit_scale, "logit_bias": self.logit_bias}


def global_mean(losses: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
    """Mean of per-row losses over the rows of all ranks, each rank with as many rows.

    The value is global; backward goes to this rank's rows.
    """
    return gather.sum_over_ranks(losses.sum() / (len(losses) * gather.world_size()))
