"""Options of actions that arrays of jobs can share."""

from dataclasses import dataclass

from data_pipelines.options import option
from data_pipelines.workers.share import Share
from vlsuite.cli.options import positive
from vlsuite.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharing:
    """Which share of the shards a call does, or that it merges what all shares did."""

    rank: int | None = option(
        "do one share of the shards, from 0, and leave the end to --merge (arrays of jobs)",
        default=None,
    )
    world: int | None = option("number of shares", default=None, reader=positive)
    merge: bool = option(
        "end what all ranks have done, or name what is missing; no sample is read", default=False
    )

    def __post_init__(self) -> None:
        if self.rank is not None and self.world is None:
            raise ConfigError("--rank wants --world, the number of shares")
        if self.world is not None and self.rank is None and not self.merge:
            raise ConfigError("--world wants --rank (a share) or --merge (the end of all)")
        if self.merge and self.rank is not None:
            raise ConfigError("--rank and --merge exclude each other; leave one out")

    @property
    def share(self) -> Share | None:
        """The share of this call; None: all shards.

        Raises:
            ConfigError: there is no such rank.
        """
        if self.rank is None or self.world is None:
            return None
        return Share(rank=self.rank, world=self.world)

    @property
    def told(self) -> str:
        """For the line at the end."""
        return "" if self.rank is None else f", share {self.rank} of {self.world}"
