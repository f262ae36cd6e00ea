"""What a user can choose about videos: how they are sampled, how questions are put."""

from dataclasses import dataclass
from typing import Literal

from data_pipelines.video.decoders import DecoderName
from data_pipelines.video.sampler import Sampler
from eval.errors import EvaluationError
from eval.results import Settings
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
        batch_size: clips embedded at once, at most.
        batch_frames: frames of these at most; a longer clip is embedded alone.
        workers: decoding processes.
        decoder: "pyav", "torchcodec" (its exact mode) or "decord".
        deadline: seconds that decoding a part of a clip may take (32 frames, more of small
            ones); a video that takes longer counts as one that cannot be decoded.
    """

    frames: tuple[int, ...] = ()
    sampler: Literal["auto", "segments", "mirrored", "uniform", "time"] = "auto"
    question: Literal["never", "always"] = "always"
    sample_every: int | None = None
    temporal_pool: int | None = None
    spatial_pool: int | None = None
    batch_size: int = 16
    batch_frames: int = 128
    workers: int = 1
    decoder: DecoderName = "pyav"
    deadline: float = 60.0

    def __post_init__(self) -> None:
        if any(number < 1 for number in self.frames):
            raise EvaluationError("video.frames are numbers of frames, each at least 1")
        if len(set(self.frames)) < len(self.frames):
            told = ",".join(map(str, self.frames))
            raise EvaluationError(f"video.frames={told} names a number twice; give each once")
        for name, value in self.reduction().items():
            if value < 1:
                raise EvaluationError(f"video.{name}={value} must be 1 (all tokens) or more")
        if min(self.batch_size, self.batch_frames, self.workers) < 1:
            raise EvaluationError(
                "video.batch_size, video.batch_frames and video.workers are at least 1"
            )
        if not self.deadline > 0:
            raise EvaluationError("video.deadline is a number of seconds above 0")

    def reduction(self) -> dict[str, int]:
        """What is to be changed of how many tokens a model keeps; empty for nothing."""
        names = ("sample_every", "temporal_pool", "spatial_pool")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def named(self, task: str, num_frames: int | None) -> str:
        """A task with what several results of one model and data set differ in.

        Args:
            num_frames: of a clip, where there are results of several numbers; else None.
        """
        parts = [] if num_frames is None else [f"{num_frames}_frames"]
        parts += [f"{name}_{value}" for name, value in self.reduction().items()]
        return ":".join([task, "_".join(parts)]) if parts else task

    def sampler_or(self, usual: Sampler) -> Sampler:
        """The sampler asked for; what is usual for a task where none is."""
        return usual if self.sampler == "auto" else self.sampler

    def clips_at_once(self, num_frames: int) -> int:
        """Clips of so many frames that go through the model together."""
        return max(1, min(self.batch_size, self.batch_frames // num_frames))

    def changes(self) -> Settings:
        """What a result depends on only where it is not as usual; usual results keep their hash."""
        decoder: Settings = {} if self.decoder == "pyav" else {"decoder": self.decoder}
        return decoder | self.reduction()
