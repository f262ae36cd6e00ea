"""A fixed share of the tasks, for arrays of jobs that know nothing of each other (Slurm, PBS)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from data_pipelines.errors import ConfigError, DataError

T = TypeVar("T")

_NAMED, _NAMED_RANKS = 3, 20


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


def refuse_missing(
    missing: Sequence[int], names: Sequence[str], *, folder: Path, world: int | None
) -> None:
    """End a merge where shares have not done their part.

    Args:
        missing: numbers of the shards without a part, among all.
        names: of all shards.
        folder: of the parts.
        world: number of shares, to name those that are to be run again.
    Raises:
        DataError: something is missing.
    """
    if not missing:
        return
    told = ", ".join(names[number] for number in missing[:_NAMED])
    told += ", ..." if len(missing) > _NAMED else ""
    if world:
        ranks = sorted({number % world for number in missing})
        shown = ", ".join(map(str, ranks[:_NAMED_RANKS]))
        more = f" and {len(ranks) - _NAMED_RANKS} more" if len(ranks) > _NAMED_RANKS else ""
        told += f"; {'rank' if len(ranks) == 1 else 'ranks'} {shown}{more} of {world}"
    raise DataError(
        f"{len(missing):,} of {len(names):,} parts of {folder} are missing, of other settings or "
        f"older than their shards ({told}); run them again, or leave --merge out: that reads them "
        "here"
    )
