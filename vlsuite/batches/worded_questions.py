"""Questions with options as texts: one wording for training and for evaluation."""

from collections.abc import Sequence

#: Options in order.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

#: Asks what options are about that are sentences of their own.
WHICH_SENTENCE = "Which sentence is true of the video?"


def lettered(question: str, options: Sequence[str]) -> str:
    """The question, a line an option with its letter, and the demand for the letter.

    Args:
        options: no more than there are letters.
    """
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False)]
    return "\n".join(
        [
            f"Question: {question}",
            *lines,
            "Answer with the letter of the right option and nothing else.",
        ]
    )


def plain(question: str) -> str:
    """A question that is answered in words."""
    return f"Question: {question}"
