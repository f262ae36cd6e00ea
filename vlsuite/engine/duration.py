"""Lengths of training said in the unit that comes to mind: steps, samples or epochs."""

import math
import re

from vlsuite.errors import ConfigError

_FORM = re.compile(r"^\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(steps?|samples?|epochs?)\s*$")


class Duration(str):
    """A number and its unit: "20000steps", "12.8e6samples", "32epochs", "0.5epoch".

    Raises:
        ConfigError: not of that form, nothing, or no finite number.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> "Duration":
        match = _FORM.match(text)
        if match is None:
            raise ConfigError(
                f"'{text}' is not a duration; write a number and a unit, for example "
                f"20000steps, 12.8e6samples or 32epochs"
            )
        if not 0 < float(match[1]) < math.inf:
            raise ConfigError(
                f"'{text}' is no duration to train for; write a finite number above 0, as in 1step"
            )
        return super().__new__(cls, text)

    def steps(self, *, samples_per_step: int, samples_per_epoch: int) -> int:
        """Optimizer steps, rounded up, at least one."""
        match = _FORM.match(self)
        assert match is not None
        amount, unit = float(match[1]), match[2].rstrip("s")
        samples = {"step": samples_per_step, "sample": 1, "epoch": samples_per_epoch}[unit]
        return max(1, math.ceil(amount * samples / samples_per_step - 1e-9))
