"""What a user can choose about asking questions about videos in words."""

from dataclasses import dataclass

from eval.errors import EvaluationError
from eval.task_choices import task_options


@task_options.register("video_questions")
@dataclass(frozen=True, kw_only=True, slots=True)
class AskingOptions:
    """Choices of ``video_questions``; frames and sampler are those of ``VideoOptions``.

    Attributes:
        max_tokens: of an answer; one that is cut before it has answered counts as wrong.
        quality: of the JPEG pictures that frames are sent as, 1 to 95.
    """

    max_tokens: int = 128
    quality: int = 90

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise EvaluationError("video_questions.max_tokens is at least 1")
        if not 1 <= self.quality <= 95:
            raise EvaluationError("video_questions.quality is a JPEG quality from 1 to 95")
