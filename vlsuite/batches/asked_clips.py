"""Batches of clips with a question and its answer, or with a caption: what writers learn from.

json of a sample may have "question" with "answer" (a text) or "answers" (the first is learned), or
"options" with "answer" (the number of the right one), with a question or without. A sample with a
caption too gives one or the other, drawn anew each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from data_pipelines.schema import Clip
from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.clips import ClipBatch, ClipContent, ClipReader, Said
from vlsuite.batches.sample_reader import BatchFacts
from vlsuite.batches.worded_questions import LETTERS, WHICH_SENTENCE, lettered, plain
from vlsuite.errors import BadSampleError


@runtime_checkable
class QuestionTokenizer(Protocol):
    """Questions to rows of token ids."""

    def __call__(self, texts: list[str]) -> Int64[Tensor, "texts question_length"]:
        """Ids without marks, and what stands where there is no token."""
        ...

    def fits(self, text: str) -> bool:
        """Whether all of it has room in a row."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedClipBatch(ClipBatch):
    """``token_ids`` are of the answers; see also ``ClipBatch``.

    Attributes:
        question_ids: no token in rows of captions.
    """

    question_ids: Int64[Tensor, "batch question_length"]


class AskedClipReader(ClipReader):
    """A ``ClipReader`` of answers and captions.

    Args:
        questions: texts to ids of questions.
        question_share: of the samples that have a question and a caption, how many are asked,
            in [0, 1].
        others: see ``ClipReader``.
    """

    def __init__(
        self, *, questions: QuestionTokenizer, question_share: float, **others: Any
    ) -> None:
        super().__init__(**others)
        self._questions = questions
        self._share = question_share

    def said(
        self,
        sample: StoredSample,
        rng: np.random.Generator,
        *,
        clip: Clip | None = None,
        place: int = 0,
    ) -> Said:
        """A question with its answer, or a caption.

        Raises:
            BadSampleError: there is neither, or the question is too long.
        """
        asked = question_of(sample) if clip is None or _is_whole(clip) else None
        if asked is None:
            return super().said(sample, rng, clip=clip, place=place)
        is_asked = rng.random() < self._share
        if is_asked or not has_caption(sample, clip):
            if not self._questions.fits(asked.question):
                raise BadSampleError(
                    "question too long", f"'{asked.question[:60]}'; see model.writing"
                )
            return asked
        return super().said(sample, rng, clip=clip, place=place)

    def collate(self, contents: Sequence[ClipContent], facts: BatchFacts) -> AskedClipBatch:
        """See ``SampleReader``."""
        batch = super().collate(contents, facts)
        fields = {name: getattr(batch, name) for name in ClipBatch.__dataclass_fields__}
        asked = self._questions([one.said.question for one in contents])
        return AskedClipBatch(**fields, question_ids=asked)


def question_of(sample: StoredSample) -> Said | None:
    """What json asks about a sample, with the answer; None where it asks nothing.

    Raises:
        BadSampleError: it asks, and the answer is none.
    """
    fields = sample.fields
    text, options, answer = (fields.get(name) for name in ("question", "options", "answer"))
    question = " ".join(text.split()) if isinstance(text, str) else ""
    if isinstance(options, list) and isinstance(answer, int) and not isinstance(answer, bool):
        told = [one for one in options if isinstance(one, str) and one.strip()]
        if len(told) != len(options) or len(told) < 2 or answer not in range(len(told)):
            raise BadSampleError("unusable options", f"{len(told)} texts, answer {answer}")
        if len(told) > len(LETTERS):
            raise BadSampleError("unusable options", f"{len(told)} options, more than letters")
        return Said(LETTERS[answer], 0, question=lettered(question or WHICH_SENTENCE, told))
    if not question:
        return None
    if isinstance(answer, str) and answer.strip():
        return Said(" ".join(answer.split()), 0, question=plain(question))
    if (asked := sample.question) is not None:
        return Said(asked.answers[0], 0, question=plain(question))
    raise BadSampleError("question without an answer", f"'{question[:60]}'")


def has_caption(sample: StoredSample, clip: Clip | None) -> bool:
    """Whether anything is said of the sample besides questions."""
    if clip is not None and clip.caption:
        return True
    try:
        return bool(sample.captions.texts)
    except BadSampleError:
        return False


def _is_whole(clip: Clip) -> bool:
    return not clip.start and clip.end is None
