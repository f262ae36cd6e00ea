"""How many frames a clip is shown with, as training goes on."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from vlsuite.errors import ConfigError

_STAGE = re.compile(r"([1-9]\d{0,4})(?:x([1-9]\d{0,15}))?")


class FrameCurriculum(NamedTuple):
    """Stages of training, each with a number of frames.

    Attributes:
        frames: of a clip, by stage.
        ends: samples drawn before each stage but the last ends, from the begin of training.
    """

    frames: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def parsed(cls, stages: Sequence[str]) -> "FrameCurriculum":
        """Read settings: ("1x200000", "4x50000", "8").

        Args:
            stages: frames, then "x" and the samples that the stage draws; the last stage has none
                and lasts until the end.
        Raises:
            ConfigError: they are of another form.
        """
        found = [_STAGE.fullmatch(stage) for stage in stages]
        if not found or not all(found):
            raise ConfigError(
                f"model.frames={','.join(stages)} is no curriculum; write the frames of a clip "
                "(4; 99,999 at most), or stages as FRAMESxSAMPLES and a last one "
                "(1x200000,4x50000,8)"
            )
        parts = [match.groups() for match in found if match]
        if parts[-1][1] is not None or any(samples is None for _, samples in parts[:-1]):
            raise ConfigError(
                f"model.frames={','.join(stages)}: every stage but the last needs its samples "
                "(1x200000,4x50000,8), and the last lasts until the end"
            )
        ends = accumulate(int(samples or 0) for _, samples in parts[:-1])
        return cls(tuple(int(frames) for frames, _ in parts), tuple(ends))

    def at(self, position: int) -> int:
        """Frames of the clip that is drawn at a place of the training sequence."""
        return self.frames[bisect_right(self.ends, position)]

    @property
    def last(self) -> int:
        """Frames that training ends with."""
        return self.frames[-1]
