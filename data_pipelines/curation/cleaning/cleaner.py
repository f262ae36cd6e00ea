"""A caption without its credits and running numbers, and what was taken from it."""

from typing import NamedTuple

from data_pipelines.curation.cleaning.recurring_endings import Endings, num_numbers, plain_words


class CleanedCaption(NamedTuple):
    """What is left of a caption.

    Attributes:
        text: never empty where the caption was not.
        removed: what was taken off its end; empty where nothing was.
    """

    text: str
    removed: str


def cleaned(caption: str, endings: Endings, *, numbers: bool) -> CleanedCaption:
    """Take endings off a caption, and the numbers before and after them where asked to.

    Without ``numbers``, numbers are taken off together with an ending that they stand beside
    ("brain ada byron 03"), and stay elsewhere ("signal flag 6").
    """
    words = caption.split()
    plain = plain_words(caption)
    end = len(words)
    while True:
        before = end
        counted = num_numbers(plain[:end])
        length = endings.length_of(plain[: end - counted])
        if length or numbers:
            end -= counted + length
        if end == before:
            break
    if end == len(words):
        return CleanedCaption(caption, "")
    return CleanedCaption(" ".join(words[:end]), " ".join(words[end:]))
