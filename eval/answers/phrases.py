"""The forms of one language: see ``Phrases``."""

from typing import NamedTuple


class Phrases(NamedTuple):
    """The forms of one language.

    Attributes:
        states: what an answer follows, "the answer is".
        affirms: what follows an answer, "is correct".
        negates: what denies the answers after it in its clause, "not", "rather than".
        denies: what denies the answer before it, "is wrong".
        doubts: what makes the answers after it in its sentence no statement, "if", "whether".
        hedges: the same within its clause, "might be", "between".
        joins: between several answers, "or", "and".
        fills: between a statement and its answer, "the letter", "definitely".
        concludes: what a short conclusion begins with, "so", "hence".
        declines: what a response without an answer says.
    """

    states: tuple[str, ...] = ()
    affirms: tuple[str, ...] = ()
    negates: tuple[str, ...] = ()
    denies: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    hedges: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    fills: tuple[str, ...] = ()
    concludes: tuple[str, ...] = ()
    declines: tuple[str, ...] = ()
