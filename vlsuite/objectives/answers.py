"""The loss of a model that writes answers or captions: its own words, one by one."""

import math
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from vlsuite.batches.batch import Batch
from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.objective import Losses
from vlsuite.objectives.plain import PlainObjective


@registry.register("answers")
@dataclass(frozen=True, kw_only=True, slots=True)
class AnswersConfig:
    """Settings of the loss of answers.

    Attributes:
        weight: of the loss.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ConfigError(f"objective.weight={self.weight} must be positive")

    def build(self) -> "AnswersObjective":
        """The objective, which has nothing to learn."""
        return AnswersObjective(self)


class AnswersObjective(PlainObjective):
    """Mean over samples of -1/n sum_t log p(y_t | y_<t, question, clip), n tokens of the answer.

    The end mark counts, the question does not. Every sample weighs the same whatever the length of
    its answer, so micro-batches and processes give the mean over the global batch exactly.
    """

    def __init__(self, config: AnswersConfig) -> None:
        super().__init__()
        self._weight = config.weight

    def forward(self, output: Float[Tensor, " batch"], batch: Batch) -> Losses:
        """See ``PlainObjective``.

        Args:
            output: nats a token of each answer.
        """
        answers: Any = output.mean()
        return Losses(self._weight * answers, {"answers": answers})
