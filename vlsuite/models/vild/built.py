"""A detector as it was built: what reading, evaluation and export look at."""

from dataclasses import dataclass
from typing import Any

from vlsuite.models.vild.network import VildNetwork
from vlsuite.models.vild.region_cache import RegionSource
from vlsuite.models.vild.teacher import Teacher
from vlsuite.models.vild.training_vocabulary import TrainingVocabulary

DESCRIPTION = "vild_config.json"
WEIGHTS = "vild.safetensors"
NAMES = "class_embeds.safetensors"
TEACHER = "teacher"
#: Prompts of a detector that has its own, one a line.
PROMPTS = "prompts.txt"
FORMAT = 1

#: Mean and std of ImageNet, which torchvision's detectors normalise by.
PREPROCESS: dict[str, Any] = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@dataclass(kw_only=True)
class BuiltVild:
    """A detector, and all that is needed to feed, use and export it.

    Attributes:
        network: the trained part.
        config: it was built from.
        vocabulary: of its training.
        teacher: embeds names (and crops); None for a supervised detector.
        source: what the cached regions of its training were made with; None without.
    """

    network: VildNetwork
    config: Any
    vocabulary: TrainingVocabulary
    teacher: Teacher | None
    source: RegionSource | None = None

    @property
    def preprocess(self) -> dict[str, Any]:
        """Mean and std of pictures."""
        return PREPROCESS
