"""Answered questions as scores: of all of them, and of each kind."""

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64


class Answered(NamedTuple):
    """What one score is the mean of.

    Attributes:
        hits: probability of being right of each question.
        clips: number of the clip that each is about, the first one of a pair.
        kinds: of each question.
        chance: what guessing reaches at each.
    """

    hits: Float64[np.ndarray, " questions"]
    clips: Int64[np.ndarray, " questions"]
    kinds: tuple[tuple[str, ...], ...]
    chance: Float64[np.ndarray, " questions"]


def rows_by_kind(
    name: str, answered: Answered, *, with_kinds: bool
) -> dict[str, Int64[np.ndarray, " rows"]]:
    """Rows of all questions, and of each kind where there are several, by name of the score."""
    rows = {name: np.arange(len(answered.hits))}
    kinds = dict.fromkeys(kind for own in answered.kinds for kind in own if kind)
    if not with_kinds or len(kinds) < 2:
        return rows
    for kind in kinds:
        plain = re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_")
        rows[f"{name}_{plain}"] = np.flatnonzero([kind in own for own in answered.kinds])
    return rows
