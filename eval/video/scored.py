"""Answered questions as scores: of all of them, of each kind, and of videos of each length."""

import re
from collections.abc import Sequence
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
        groups: of videos of about one length, of each question; empty where there are none.
    """

    hits: Float64[np.ndarray, " questions"]
    clips: Int64[np.ndarray, " questions"]
    kinds: tuple[tuple[str, ...], ...]
    chance: Float64[np.ndarray, " questions"]
    groups: tuple[str, ...] = ()


def rows_by_kind(
    name: str, answered: Answered, *, with_kinds: bool
) -> dict[str, Int64[np.ndarray, " rows"]]:
    """Rows of all questions, of each kind and of each length where there are several, by score."""
    rows = {name: np.arange(len(answered.hits))}
    if with_kinds:
        rows |= _parts(name, answered.kinds)
        rows |= _parts(f"{name}_duration", [(group,) for group in answered.groups])
    return rows


def _parts(name: str, labels: Sequence[tuple[str, ...]]) -> dict[str, Int64[np.ndarray, " rows"]]:
    """Rows of each label; none where there are fewer than two."""
    found = dict.fromkeys(label for own in labels for label in own if label)
    if len(found) < 2:
        return {}
    rows = {}
    for label in found:
        plain = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
        rows[f"{name}_{plain}"] = np.flatnonzero([label in own for own in labels])
    return rows
