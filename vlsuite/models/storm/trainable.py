"""STORM in training."""

from dataclasses import dataclass
from typing import ClassVar

from vlsuite.models.dual_encoder.clip import Clip
from vlsuite.models.storm.model import Storm
from vlsuite.models.video_text.trainable import TrainableVideoText


@dataclass(frozen=True, kw_only=True)
class TrainableStorm(TrainableVideoText):
    """See ``TrainableVideoText``."""

    evaluated_as: ClassVar[type[Clip]] = Storm
