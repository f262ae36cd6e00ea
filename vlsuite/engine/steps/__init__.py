"""How one optimizer step is computed, one way a file; a model family names the way it needs."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from data_pipelines.registry import Registry
from vlsuite.objectives.objective import Losses


@runtime_checkable
class Step(Protocol):
    """Computes the loss of one global batch, leaves all gradients, and steps the engine."""

    def __call__(
        self,
        engine: Any,
        objective: Any,
        micro_batches: Sequence[Any],
        *,
        encode: Callable[[Any], Any],
        world_size: int,
        step_seed: int,
    ) -> Losses:
        """One optimizer step of this process.

        Args:
            engine: DeepSpeed engine whose accumulation count is ``len(micro_batches)``; it
                averages gradients over processes.
            objective: of the kind that this step calls; its parameters get their gradients in
                ``.grad``: complete, without the loss scale of fp16, and before the engine's last
                ``step()``, which cuts all gradients by their joint norm.
            micro_batches: of this process.
            encode: runs the engine on one of them.
            world_size: processes.
            step_seed: of dropout; differs by step and process.
        Returns:
            The losses of the global batch, detached, the same on every process.
        """
        ...


steps: Registry[Step] = Registry("training step", package="vlsuite.engine.steps", variable="steps")
