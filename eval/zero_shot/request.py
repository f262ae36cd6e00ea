"""What a user can choose about zero-shot tasks; each task takes what concerns it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRequest:
    """Choices for building tasks.

    Args:
        templates: prompts with ``{c}``; None takes the data set's own, else the set "simple".
        captions_per_image: use the first so many captions of an image; None uses all.
        num_examples: examples of each direction kept for the report.
        seed: of bootstrap intervals and of the choice of examples.
    """

    templates: tuple[str, ...] | None = None
    captions_per_image: int | None = None
    num_examples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.captions_per_image is not None and self.captions_per_image < 1:
            raise ValueError(f"captions_per_image is {self.captions_per_image}, at least 1 needed")
        if self.num_examples < 0:
            raise ValueError(f"num_examples is {self.num_examples}, must not be negative")
