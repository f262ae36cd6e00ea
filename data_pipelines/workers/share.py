"""A fixed share of the tasks, for arrays of jobs that know nothing of each other (Slurm, PBS)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from data_pipelines.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Every ``world``-th task, from number ``rank`` on.

    Args:
        rank: which share this is, from 0.
        world: how many shares there are.
    """

    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world:
            raise ConfigError(
                f"--rank {self.rank} of --world {self.world}: ranks run from 0 to world - 1; in a "
                "Slurm array of 0-63 write --rank $SLURM_ARRAY_TASK_ID --world 64"
            )

    def of(self, tasks: Sequence[T]) -> Sequence[T]:
        """The tasks of this share, in their order."""
        return tasks[self.rank :: self.world]
