"""The parser of our own: see ``eval.answers.reading`` for its rules; None rather than a guess."""

from collections.abc import Sequence

from eval.answers.reading import chosen_option
from eval.omnibench.parsers.registry import parsers


@parsers.register("vlsuite")
def parse_own(text: str, options: Sequence[str]) -> int | None:
    """The number of the option that the response chooses, None where it chooses none or several."""
    return chosen_option(text, options)
