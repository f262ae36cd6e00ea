"""What a user can choose about videos: how they are sampled, how questions are put."""

from dataclasses import dataclass
from typing import Literal

from data_pipelines.video.sampler import Sampler
from eval.errors import EvaluationError
from eval.task_choices import task_options


@task_options.register("video")
@dataclass(frozen=True, kw_only=True, slots=True)
class VideoOptions:
    """Choices of the tasks on videos; all of them are stored with every result.

    Attributes:
        frames: of a clip; several numbers give a result each; empty takes the model's own.
        sampler: "segments" (the middle frame of equal stretches), "mirrored" (the same frames
            whether played forwards or backwards), "uniform" or "time"; "auto" is "mirrored" for
            questions of order and "segments" else.
        question: whether the question stands before each option: "never", "always".
        sample_every: of models that read a clip as tokens: keep one of so many frames; None: as
            the model was trained.
        temporal_pool: likewise: mean over so many frames, before that.
        spatial_pool: likewise: mean over cells of so many rows and columns of a frame's tokens.
        batch_size: clips embedded at once.
        workers: decoding processes.
    """

    frames: tuple[int, ...] = ()
    sampler: Literal["auto", "segments", "mirrored", "uniform", "time"] = "auto"
    question: Literal["never", "always"] = "always"
    sample_every: int | None = None
    temporal_pool: int | None = None
    spatial_pool: int | None = None
    batch_size: int = 16
    workers: int = 1

    def __post_init__(self) -> None:
        if any(number < 1 for number in self.frames):
            raise EvaluationError("video.frames are numbers of frames, each at least 1")
        for name, value in self.reduction().items():
            if value < 1:
                raise EvaluationError(f"video.{name}={value} must be 1 (all tokens) or more")
        if self.batch_size < 1 or self.workers < 1:
            raise EvaluationError("video.batch_size and video.workers are at least 1")

    def reduction(self) -> dict[str, int]:
        """What is to be changed of how many tokens a model keeps; empty for nothing."""
        names = ("sample_every", "temporal_pool", "spatial_pool")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def sampler_or(self, usual: Sampler) -> Sampler:
        """The sampler asked for; what is usual for a task where none is."""
        return usual if self.sampler == "auto" else self.sampler
