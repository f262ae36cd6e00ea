"""Two sets of answers to the same questions: which is better, and could it be chance?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eval.errors import EvaluationError
from eval.metrics.paired import PairedDifference, paired_means, paired_shares
from eval.omnibench.outcomes import Outcome, hits
from eval.omnibench.scoring import SettingScores
from eval.results import Score


class Compared(NamedTuple):
    """First minus second over some questions that both were asked.

    Attributes:
        what: "all", or a type.
        paired: difference with Newcombe's interval, McNemar's exact p value and its counts.
        bootstrap: the same difference with the interval of gains and losses apart
            (``eval.metrics.mean_intervals``).
    """

    what: str
    paired: PairedDifference
    bootstrap: Score


def compare(first: SettingScores, second: SettingScores, *, seed: int = 0) -> list[Compared]:
    """Over all common questions, then over each task type and each audio type.

    Serves two models in one setting and two settings of one model alike: what the picture adds is
    "image_audio" against "audio". Types get no correction for being many.

    Raises:
        EvaluationError: the two have no question in common.
    """
    pairs = _common(first.outcomes, second.outcomes)
    rows = [_compared("all", pairs, seed)]
    for axis in ("task_type", "audio_type"):
        kinds = dict.fromkeys(getattr(one.question, axis) for one, _ in pairs)
        for kind in kinds:
            own = [pair for pair in pairs if getattr(pair[0].question, axis) == kind]
            rows.append(_compared(kind, own, seed))
    return rows


def _common(first: Sequence[Outcome], second: Sequence[Outcome]) -> list[tuple[Outcome, Outcome]]:
    by_index = {outcome.question.index: outcome for outcome in second}
    pairs = [(one, by_index[one.question.index]) for one in first if one.question.index in by_index]
    if not pairs:
        raise EvaluationError("the two logs have no question in common; compare logs of one set")
    for one, two in pairs:
        if one.question.options != two.question.options:
            raise EvaluationError(
                f"question {one.question.index} has other options in the second log; compare logs "
                "of one question set"
            )
    return pairs


def _compared(what: str, pairs: Sequence[tuple[Outcome, Outcome]], seed: int) -> Compared:
    one, two = (hits(side) for side in zip(*pairs, strict=True))
    difference = paired_means(
        one.astype(np.float64), two.astype(np.float64), unit="points", seed=seed
    )
    return Compared(what, paired_shares(one, two), difference)
