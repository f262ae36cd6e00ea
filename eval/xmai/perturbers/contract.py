"""What a change of captions is: text in, text out, the same one for a row id and seed.

Perturbers register themselves by name; adding one means adding a file. One that is registered as
``textattack:`` is made from what stands behind the colon.
"""

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from data_pipelines.component_names import named
from data_pipelines.registry import Registry
from eval.errors import EvaluationError

#: A word with its apostrophes and hyphens.
WORD = re.compile(r"[^\W_]+(?:['\u2019\-][^\W_]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class PerturberOptions:
    """What any of them may want to know.

    Args:
        share: of the words that are changed, 0 to 1; at least one word is.
        masked_lm: of those that fill gaps: a masked language model, folder or hub id.
        wordnet: folder of WordNet's files; None: where nltk or the system keeps them.
        device: where models compute.
        textattack_python: interpreter that has TextAttack; None: this one.
        rest: what stands behind the colon of the name.
    """

    share: float = 0.2
    masked_lm: str = "vocabulary"
    wordnet: str | None = None
    device: str = "cpu"
    textattack_python: str | None = None
    rest: str = ""


@runtime_checkable
class Perturber(Protocol):
    """Changes captions without looking at pictures."""

    def perturb(self, caption: str, *, row_id: str, seed: int) -> str:
        """The changed caption; it depends on nothing but caption, row id and seed."""
        ...


@runtime_checkable
class BatchPerturber(Protocol):
    """A ``Perturber`` that is quicker on many captions at a time."""

    def perturb_many(
        self, captions: Sequence[str], *, row_ids: Sequence[str], seed: int
    ) -> list[str]:
        """One changed caption a caption, in order."""
        ...


Factory = Callable[[PerturberOptions], Perturber]

perturbers: Registry[Factory] = Registry(
    "perturber", package="eval.xmai.perturbers", variable="perturbers"
)


def load_perturber(name: str, options: PerturberOptions) -> Perturber:
    """The perturber called ``name``; "textattack:RECIPE" runs one of TextAttack's.

    Raises:
        UnknownNameError: there is none.
        UserError: a model or word list that it needs is missing.
    """
    build, rest = named(name, perturbers)
    return build(replace(options, rest=rest))


def perturbed_rows(
    perturber: Perturber, captions: Sequence[str], *, row_ids: Sequence[str], seed: int
) -> list[str]:
    """All captions changed, together where the perturber can.

    Raises:
        EvaluationError: the perturber gave another number of captions.
    """
    if not isinstance(perturber, BatchPerturber):
        pairs = zip(captions, row_ids, strict=True)
        return [perturber.perturb(caption, row_id=own, seed=seed) for caption, own in pairs]
    found = perturber.perturb_many(captions, row_ids=row_ids, seed=seed)
    if len(found) != len(captions):
        raise EvaluationError(
            f"{type(perturber).__name__} gave {len(found)} captions for {len(captions)}"
        )
    return found


def generator(name: str, row_id: str, seed: int) -> random.Random:
    """Draws of one method for one row."""
    key = f"{name}\0{seed}\0{row_id}".encode("utf-8", "surrogatepass")
    return random.Random(hashlib.sha256(key).digest())


def number_of(share: float, words: int) -> int:
    """How many of ``words`` are changed: the share, and one at least (EDA's max(1, alpha l))."""
    return min(words, max(1, round(share * words)))


def like(word: str, model: str) -> str:
    """``word`` in capitals where ``model`` is, with one where it begins with one."""
    if len(model) > 1 and model.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if model[:1].isupper() else word
