"""Settings of a temporal Mamba layer."""

from dataclasses import dataclass
from typing import Literal

from vlsuite.errors import ConfigError

Kind = Literal["mamba2", "mamba1"]
Directions = Literal["both", "forward"]
Merge = Literal["mean", "sum", "concatenation"]

_STATE: dict[Kind, int] = {"mamba2": 128, "mamba1": 16}


@dataclass(frozen=True, kw_only=True, slots=True)
class MambaConfig:
    """How tokens in time order are mixed.

    STORM (arXiv 2503.04130) discloses none of these. The defaults are ours, after its public
    relative Vamba (arXiv 2503.11579: Mamba-2, state 128, head 64, expand 2).

    Attributes:
        kind: "mamba2" (Dao and Gu 2024: matrix products, fast in plain torch) or "mamba1" (Gu and
            Dao 2023: a decay for each channel and state).
        state: numbers that are remembered of each channel; None is 128 for mamba2, 16 for mamba1.
        head_width: of mamba2: channels that share a decay; it must divide expand * width.
        expand: channels of the scan as a multiple of the width.
        conv: tokens that the causal convolution before the scan sees.
        directions: "both", or "forward" alone, which can be streamed with a state of fixed size.
        merge: of both directions, before the out projection: "mean" (as Vim does now), "sum" (as
            VideoMamba does), or "concatenation", whose out projection is twice as wide.
    """

    kind: Kind = "mamba2"
    state: int | None = None
    head_width: int = 64
    expand: int = 2
    conv: int = 4
    directions: Directions = "both"
    merge: Merge = "mean"

    def __post_init__(self) -> None:
        for name in ("state", "head_width", "expand", "conv"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"mamba {name}={value} must be at least 1")
        if self.directions == "forward" and self.merge != "mean":
            raise ConfigError(
                f"mamba merge={self.merge} has no meaning with directions=forward; leave it out"
            )

    @property
    def states(self) -> int:
        """Numbers remembered of each channel, the default of the kind resolved."""
        return _STATE[self.kind] if self.state is None else self.state

    @property
    def num_directions(self) -> int:
        """1 or 2."""
        return 2 if self.directions == "both" else 1

    def channels(self, width: int) -> int:
        """Of the scan, for tokens of a width.

        Raises:
            ConfigError: the heads of mamba2 do not divide them.
        """
        channels = self.expand * width
        if self.kind == "mamba2" and channels % self.head_width:
            divisors = [d for d in range(1, channels + 1) if channels % d == 0]
            near = min(divisors, key=lambda d: abs(d - self.head_width))
            raise ConfigError(
                f"mamba head_width={self.head_width} does not divide expand * width = "
                f"{self.expand} * {width} = {channels}; set head_width={near}, say"
            )
        return channels
