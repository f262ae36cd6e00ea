"""What a scorer is: a model, or a part on top of one, that gives each sample a number.

Scorers register their settings by name: a frozen dataclass under ``@scorers.register("name")`` with
``build(model, device)``. Those of others come through the plug-in door (``--import FILE``).
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from data_pipelines.registry import Registry
from vlsuite.models.shard_batches import SampleBatch

scorers: Registry[type["ScorerSettings"]] = Registry(
    "scorer", package="vlsuite.models.scorers", variable="scorers"
)


@runtime_checkable
class SampleScorer(Protocol):
    """Gives numbers to samples, batch by batch."""

    @property
    def fingerprint(self) -> str:
        """Of everything besides the samples and the batch size that its numbers depend on."""
        ...

    @property
    def image_transform(self) -> Callable[..., Tensor] | None:
        """Decoded picture to the pixels that it is shown; None: it looks at no picture."""
        ...

    @property
    def reads_texts(self) -> bool:
        """Whether it needs the caption; samples without one then have no score."""
        ...

    def scores(self, batch: SampleBatch) -> Float32[np.ndarray, " batch"]:
        """One number a sample; NaN where it has none."""
        ...


@runtime_checkable
class ScorerSettings(Protocol):
    """Settings of a scorer, a frozen dataclass whose fields all have defaults."""

    def build(self, model: str, *, device: str) -> SampleScorer:
        """The scorer.

        Args:
            model: name of the model it rests on, as for ``vlsuite eval``, or a folder.
            device: where it computes.
        Raises:
            UserError: the model cannot be opened, or cannot do what is needed.
        """
        ...
