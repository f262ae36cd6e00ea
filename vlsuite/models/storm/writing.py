"""Settings of STORM with a language model; nothing else depends on them."""

from dataclasses import dataclass

from vlsuite.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class WritingConfig:
    """What is trained to be written.

    Attributes:
        answer_length: tokens of an answer or caption at most, begin and end mark included; longer
            ones are cut.
        question_length: tokens of a question with its options at most; samples with a longer one
            are counted and left out.
        question_share: of the samples that have a question and a caption, how many are asked; the
            others learn the caption.
    """

    answer_length: int = 48
    question_length: int = 192
    question_share: float = 0.5

    def __post_init__(self) -> None:
        if self.answer_length < 3 or self.question_length < 1:
            raise ConfigError(
                "model.writing: need answer_length >= 3 (both marks and a token) and "
                "question_length >= 1"
            )
        if not 0 <= self.question_share <= 1:
            raise ConfigError(
                f"model.writing.question_share={self.question_share} must lie in [0, 1]"
            )
