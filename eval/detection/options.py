"""What a user can choose about the evaluation of detectors."""

from dataclasses import dataclass
from typing import Literal

from eval.errors import EvaluationError
from eval.task_choices import task_options


@task_options.register("detection")
@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionOptions:
    """Choices of the task on detectors; all but the last three are stored with every result.

    Attributes:
        split: which names are novel: "auto" (what the data says; the rare names of LVIS),
            "coco-48-17", "lvis-rare", "none", or a file with a novel name a line.
        ap: "standard", or "fixed": the 10,000 best of each class and no limit for a picture, which
            compares with nothing but other fixed AP.
        max_detections: of a picture over all classes; None takes 300, and 1,000 for fixed AP.
        names_per_pass: names that the detector scores at once; None: all of them.
        regions: "auto" (boxes, and masks where both sides have them) or "box".
        check: compare two evaluators, and refuse figures that they do not agree on.
        batch_size: pictures that the detector is given at once.
        workers: decoding threads.
    """

    split: str = "auto"
    ap: Literal["standard", "fixed"] = "standard"
    max_detections: int | None = None
    names_per_pass: int | None = None
    regions: Literal["auto", "box"] = "auto"
    check: bool = True
    batch_size: int = 4
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("max_detections", "names_per_pass", "batch_size", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise EvaluationError(f"detection.{name}={value}: give at least 1")

    @property
    def is_fixed(self) -> bool:
        """Whether AP is fixed AP."""
        return self.ap == "fixed"

    @property
    def most(self) -> int:
        """Detections that the detector is asked for in a picture."""
        return self.max_detections or (1000 if self.is_fixed else 300)
