"""Which class each picture was given: what per-class tables, confusions and comparisons need."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from data_pipelines.schema import JsonValue
from eval.errors import EvaluationError
from eval.results import EvalResult, PerUnit

_KEY = "answers"
_DAMAGED = "the answers kept with a zero-shot result are damaged; run 'vlsuite eval' again"


class ClassAnswers(NamedTuple):
    """Right and given class of every scored picture.

    Attributes:
        names: of the classes; line i names number i.
        right: number of the class that each picture is of.
        given: number of the class that the model ranks first.
        images: number of each picture in the data set.
    """

    names: tuple[str, ...]
    right: Int64[np.ndarray, " images"]
    given: Int64[np.ndarray, " images"]
    images: Int64[np.ndarray, " images"]

    def to_details(self) -> dict[str, JsonValue]:
        """For the details of a result; ``of_details`` reads them back."""
        both = [
            PerUnit.pack(part.astype(np.float64), self.images) for part in (self.right, self.given)
        ]
        right, given = (part.values for part in both)
        kept = {"names": list(self.names), "right": right, "given": given, "images": both[0].images}
        return {_KEY: kept}

    def confusions(self) -> list[tuple[int, int, int]]:
        """Wrong answers as (right class, given class, pictures), the most frequent first."""
        wrong = self.right != self.given
        pairs = zip(self.right[wrong].tolist(), self.given[wrong].tolist(), strict=True)
        counted = Counter(pairs)
        return sorted(((*pair, n) for pair, n in counted.items()), key=lambda c: (-c[2], c[:2]))


def without_answers(result: EvalResult) -> EvalResult:
    """The same without them: rounds of evaluation in training keep scores alone."""
    kept = {name: value for name, value in result.details.items() if name != _KEY}
    return replace(result, details=kept)


def of_details(details: Mapping[str, JsonValue]) -> ClassAnswers | None:
    """The answers in the details of a result, None where it was made before they were kept.

    Raises:
        EvaluationError: they are damaged.
    """
    kept = details.get(_KEY)
    if not isinstance(kept, dict):
        return None
    names, parts = kept.get("names"), [kept.get(key) for key in ("right", "given", "images")]
    if not isinstance(names, list) or not all(isinstance(part, str) for part in parts):
        raise EvaluationError(_DAMAGED)
    right, given, images = map(str, parts)
    right_numbers, rows = PerUnit(right, images, None).unpack()
    given_numbers, _ = PerUnit(given, images, None).unpack()
    answers = ClassAnswers(
        tuple(map(str, names)), right_numbers.astype(np.int64), given_numbers.astype(np.int64), rows
    )
    numbers = np.concatenate([answers.right, answers.given])
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(names):
        raise EvaluationError(_DAMAGED)
    return answers
