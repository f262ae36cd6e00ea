"""How candidates for one gap are compared: four scores, each scaled over the candidates.

The first three terms and the scaling are the published method (arXiv 2306.11065, section 3, as its
code computes them); the fourth, how well the picture supports the word, is our own.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from eval.errors import EvaluationError

#: Scores are rounded before they are compared, so that the order of a floating-point sum, which
#: depends on how texts were batched, cannot turn a choice.
DECIMALS = 5

_SMALLEST_RANGE = 1e-12


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the four terms; a negative one turns its term round.

    Args:
        p: the language model's probability.
        a: similarity with what was detected.
        d: distance of picture and sentence.
        t: support by the picture.
    """

    p: float
    a: float
    d: float
    t: float = 0.0


#: "paper": what the published figures were made with; "readme": the defaults of its command.
PRESETS: dict[str, Weights] = {
    "paper": Weights(1.0, 5.0, 5.0),
    "readme": Weights(1.0, 1.0, 1.0),
    "truthful": Weights(1.0, 5.0, 5.0, 5.0),
}


class Scores(NamedTuple):
    """One value a candidate."""

    p: Float[np.ndarray, " candidates"]
    a: Float[np.ndarray, " candidates"]
    d: Float[np.ndarray, " candidates"]
    t: Float[np.ndarray, " candidates"]


def parse_weights(text: str) -> Weights:
    """Weights by name ("paper", "readme", "truthful") or as three or four numbers "1,5,5,0".

    Raises:
        EvaluationError: neither, or all of them are 0.
    """
    if text in PRESETS:
        return PRESETS[text]
    try:
        weights = Weights(*(float(part) for part in text.split(",")))
    except (ValueError, TypeError) as error:
        raise EvaluationError(
            f"--weights {text}: give {', '.join(PRESETS)}, or three or four numbers such as 1,5,5,0"
        ) from error
    size = abs(weights.p) + abs(weights.a) + abs(weights.d) + abs(weights.t)
    if not (0 < size < float("inf")):
        raise EvaluationError(f"--weights {text}: at least one must not be 0, and all be finite")
    return weights


def scaled(values: Float[np.ndarray, " candidates"]) -> Float[np.ndarray, " candidates"]:
    """Min-max over the candidates; where all are equal, 0 stands for the least.

    Equal values above 0 thereby become 1, and equal zeros stay 0, as published. Equal values
    below 0 become -1: the published code would divide them by 1e-12.
    """
    if not len(values):
        return values
    least, most = values.min(), values.max()
    if least == most:
        return np.sign(values).astype(np.float64)
    return (values - least) / max(most - least, _SMALLEST_RANGE)


def objective(scores: Scores, weights: Weights) -> Float[np.ndarray, " candidates"]:
    """The weighted mean of the scaled terms, rounded; larger is better.

    s = (l1 p^ + l2 a^ + l3 d^ + l4 t^) / (|l1| + |l2| + |l3| + |l4|), arXiv 2306.11065 with our
    fourth term.
    """
    terms = zip(
        (weights.p, weights.a, weights.d, weights.t),
        (scores.p, scores.a, scores.d, scores.t),
        strict=True,
    )
    total = sum(weight * scaled(np.round(values, DECIMALS)) for weight, values in terms)
    size = abs(weights.p) + abs(weights.a) + abs(weights.d) + abs(weights.t)
    return np.round(np.asarray(total, dtype=np.float64) / size, DECIMALS) + 0.0


def ranked(words: list[str], s: Float[np.ndarray, " candidates"]) -> list[int]:
    """Candidates best first; of equal ones the first in the alphabet."""
    return sorted(range(len(words)), key=lambda i: (-float(s[i]), words[i]))
