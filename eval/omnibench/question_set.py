"""A set of questions, whichever form it was stored in, and a fair sample of it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from eval.errors import EvaluationError
from eval.omnibench.record import Problem
from eval.respondents.question import OmniQuestion


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionSet:
    """All usable questions of one source.

    Args:
        name: of the folder, file or hub data set.
        questions: in stored order.
        revision: SHA-256 over all records as stored and, for every media file (GitHub form) or
            Parquet file (hub form), its name, its size and its first and last 64 KiB. Whole
            contents are not read: the published media are gigabytes.
        problems: the records that are left out, and why.
    """

    name: str
    questions: tuple[OmniQuestion, ...]
    revision: str
    problems: tuple[Problem, ...] = ()


def sample(questions: Sequence[OmniQuestion], n: int, *, seed: int = 0) -> list[OmniQuestion]:
    """``n`` questions drawn within each task type x audio type, in stored order.

    The published file is grouped by type, so its first questions are no fair sample. Every type
    gets its share by the largest remainders; our own scheme.

    Raises:
        EvaluationError: ``n`` is below 1.
    """
    if n < 1:
        raise EvaluationError(f"cannot draw {n} questions; the limit is at least 1")
    if n >= len(questions):
        return list(questions)
    strata: dict[tuple[str, str], list[int]] = {}
    for place, question in enumerate(questions):
        strata.setdefault((question.task_type, question.audio_type), []).append(place)
    rng = random.Random(f"omnibench sample {seed}")
    for places in strata.values():
        rng.shuffle(places)
    shares = {key: n * len(places) / len(questions) for key, places in strata.items()}
    taken = {key: int(share) for key, share in shares.items()}
    by_remainder = sorted(strata, key=lambda key: (taken[key] - shares[key], key))
    for key in by_remainder[: n - sum(taken.values())]:
        taken[key] += 1
    chosen = sorted(place for key, places in strata.items() for place in places[: taken[key]])
    return [questions[place] for place in chosen]
