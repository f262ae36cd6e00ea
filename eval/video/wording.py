"""Questions about videos in words, for models that answer in words.

Options get letters, and the letter is asked for. Options of a question keep their order; sentences
that stand alone, of which shards name the true one first, get the order of a digest of their words,
so that always saying "A" is worth no more than a guess.

A pair of clips and captions is asked as Vinoground asks it (Zhang et al. 2024, arXiv 2410.02763,
section 4.1, and the question files it is distributed with): for the text score each clip alone,
which of the two captions describes it; for the video score each caption alone, which of the two
clips, shown as one video with black between them, it describes. Both questions of a score have the
options in one order, so that an answer that ignores the question is never right twice.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from eval.errors import EvaluationError
from eval.video.clip_set import ChoiceQuestion, ClipSet, PairQuestion, YesNoQuestion
from vlsuite.batches.worded_questions import LETTERS, WHICH_SENTENCE, lettered, plain

#: Stands before a question where the frames are pictures in a conversation.
FRAMES_BEFORE = (
    "The pictures above are frames of a video in order of time, each after its time in seconds."
)

_YES_OR_NO = "Answer yes or no and nothing else."
_ORDINALS = ("the first video", "the second video")


class Worded(NamedTuple):
    """One question as a model is asked it.

    Attributes:
        clips: numbers of the clips that are shown, one after the other.
        text: of the question.
        options: what an answer chooses from; yes and no where ``has_letters`` is False.
        answer: number of the right one.
        has_letters: whether the options are listed with letters.
    """

    clips: tuple[int, ...]
    text: str
    options: tuple[str, ...]
    answer: int
    has_letters: bool = True


def worded_choice(asked: ChoiceQuestion) -> Worded:
    """A question with options.

    Raises:
        EvaluationError: more options than letters.
    """
    order = list(range(len(asked.options)))
    if not asked.question:
        order.sort(key=lambda place: _digest(asked.options[place]))
    options = tuple(asked.options[place] for place in order)
    question = asked.question or WHICH_SENTENCE
    return _lettered((asked.clip,), question, options, order.index(asked.answer))


def worded_yes_no(asked: YesNoQuestion) -> Worded:
    """A question that is answered with yes or no."""
    text = f"{plain(asked.question)}\n{_YES_OR_NO}"
    return Worded((asked.clip,), text, ("yes", "no"), 0 if asked.answer else 1, False)


def worded_pair(asked: PairQuestion) -> tuple[Worded, Worded, Worded, Worded]:
    """The two questions of the text score, then the two of the video score."""
    first = _digest(*asked.texts)[0] % 2
    order = (first, 1 - first)
    captions = tuple(asked.texts[place] for place in order)
    which = "Which caption describes the video?"
    text = [
        _lettered((clip,), which, captions, order.index(place))
        for place, clip in enumerate(asked.clips)
    ]
    second = _digest(*asked.texts)[1] % 2
    order = (second, 1 - second)
    clips = tuple(asked.clips[place] for place in order)
    video = [
        _lettered(
            clips,
            "Two videos are shown one after the other, with black between them. Which of them does "
            f"this caption describe: {caption}",
            _ORDINALS,
            order.index(place),
        )
        for place, caption in enumerate(asked.texts)
    ]
    return text[0], text[1], video[0], video[1]


def worded_set(found: ClipSet) -> list[Worded]:
    """All questions of a set: choices, yes and no, then four for each pair.

    Raises:
        EvaluationError: more options than letters.
    """
    asked = [worded_choice(one) for one in found.choices]
    asked += [worded_yes_no(one) for one in found.yes_no]
    return asked + [one for pair in found.pairs for one in worded_pair(pair)]


def _lettered(clips: tuple[int, ...], question: str, options: Sequence[str], answer: int) -> Worded:
    if len(options) > len(LETTERS):
        raise EvaluationError(
            f"a question has {len(options)} options; {len(LETTERS)} can be given letters"
        )
    return Worded(clips, lettered(question, options), tuple(options), answer)


def _digest(*texts: str) -> bytes:
    return hashlib.sha256("\0".join(texts).encode()).digest()
