"""What the tasks about videos share: one benchmark for each number of frames."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from eval.contract import Need
from eval.data.dataset import EvalDataset
from eval.errors import EvaluationError
from eval.task_choices import TaskChoices
from eval.video.options import VideoOptions

OwnTask = TypeVar("OwnTask", bound="VideoTask")


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoTask(ABC):
    """A task that is measured with clips of one number of frames.

    Args:
        dataset: of videos.
        num_frames: of a clip; None takes the model's own.
        named_frames: whether the name tells the number of frames.
        seed: of the intervals.
    """

    dataset: EvalDataset
    num_frames: int | None = None
    named_frames: bool = False
    seed: int = 0

    @staticmethod
    @abstractmethod
    def missing(dataset: EvalDataset, choices: TaskChoices) -> str | None:
        """See ``TaskKind``."""

    @classmethod
    @abstractmethod
    def chosen(cls, choices: TaskChoices) -> dict[str, Any]:
        """The fields of the task's own."""

    @classmethod
    def build(cls: type[OwnTask], dataset: EvalDataset, choices: TaskChoices) -> OwnTask:
        """The first number of frames; see ``TaskKind``."""
        return cls.build_each(dataset, choices)[0]

    @classmethod
    def build_each(
        cls: type[OwnTask], dataset: EvalDataset, choices: TaskChoices
    ) -> Sequence[OwnTask]:
        """One benchmark a number of frames.

        Raises:
            EvaluationError: what ``missing`` says.
        """
        if (lack := cls.missing(dataset, choices)) is not None:
            raise EvaluationError(lack)
        frames = choices.of(VideoOptions).frames
        told: dict[str, Any] = {"named_frames": len(frames) > 1, "seed": choices.seed}
        told |= cls.chosen(choices)
        return [cls(dataset=dataset, num_frames=number, **told) for number in frames or (None,)]

    def needs(self) -> tuple[Need, ...]:
        """No pictures: videos are read by the task."""
        return ()
