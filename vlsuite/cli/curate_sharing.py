"""Options of actions that several machines can share."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.options import option
from data_pipelines.workers.share import Share
from vlsuite.cli.options import positive
from vlsuite.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharing:
    """Which share of the shards a call does, whether it merges all, or which cluster works."""

    ray: str = option(
        "Ray cluster whose nodes share the shards: auto, or HOST:6379 (extra 'ray')",
        default="",
        metavar="ADDRESS",
    )
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
        modes = {"--ray": self.ray, "--rank": self.rank is not None, "--merge": self.merge}
        refuse_both([name for name, is_on in modes.items() if is_on])

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


def refuse_both(named: Sequence[str]) -> None:
    """Refuse options of which only one can be given.

    Raises:
        ConfigError: there are two or more.
    """
    if len(named) > 1:
        raise ConfigError(f"{named[0]} and {named[1]} exclude each other; leave one out")
