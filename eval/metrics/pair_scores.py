"""Scores of questions with options and of pairs of two items, ties broken at random in expectation.

Pairs are those of Winoground (Thrush et al. 2022, arXiv 2204.03162, equations 1 to 3), which
Vinoground (Zhang et al. 2024, arXiv 2410.02763) takes over for videos. Text score: each item
prefers its own text; video score: each text prefers its own item; group score: both. Guessing
gives 1/4, 1/4 and 1/6. The published ones demand a strict order; here equal scores are worth what
random noise on all four would give, so constant scores are worth a guess and not a loss.
"""

from itertools import permutations
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64

#: What guessing reaches.
TEXT_CHANCE, VIDEO_CHANCE, GROUP_CHANCE = 1 / 4, 1 / 4, 1 / 6


class PairScores(NamedTuple):
    """For each pair the probability of being right, 0 or 1 where nothing is level."""

    text: Float64[np.ndarray, " pairs"]
    video: Float64[np.ndarray, " pairs"]
    group: Float64[np.ndarray, " pairs"]


def choice_hit(scores: Float[np.ndarray, " options"], answer: int) -> float:
    """Probability that the answer comes first: 1 / n where it is the best, level with n - 1."""
    best = scores.max()
    return float(scores[answer] == best) / int((scores == best).sum())


def pair_scores(cosines: Float[np.ndarray, "pairs 2 2"]) -> PairScores:
    """Text, video and group score of each pair.

    Args:
        cosines: of item i (rows) and text j (columns); item i and text i belong together.
    """
    right = np.zeros((3, len(cosines)))
    orders = list(permutations(range(4)))
    for order in orders:
        noise = np.array(order).reshape(2, 2)

        def prefers(
            own: tuple[int, int], other: tuple[int, int], noise: np.ndarray = noise
        ) -> np.ndarray:
            first, second = cosines[:, *own], cosines[:, *other]
            return (first > second) | ((first == second) & (noise[own] > noise[other]))

        text = prefers((0, 0), (0, 1)) & prefers((1, 1), (1, 0))
        video = prefers((0, 0), (1, 0)) & prefers((1, 1), (0, 1))
        right += np.stack([text, video, text & video])
    return PairScores(*(right / len(orders)))
