"""Answers of a model that ``vlsuite eval`` asks: logged in the store, shared by processes."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from eval.capabilities import device_of
from eval.contract import Embedder, Model
from eval.errors import EvaluationError
from eval.omnibench.asking import ask, header_of
from eval.omnibench.log import read_log
from eval.omnibench.question_set import QuestionSet
from eval.process_group import barrier, my_rows, ranks
from eval.respondents.contract import Respondent, style_of
from eval.respondents.question import OmniQuestion, Setting
from eval.respondents.response import Response

#: By index of the question and name of the setting.
Responses = Mapping[tuple[int, str], Response]


def answers(
    model: Model,
    respondent: Respondent,
    found: QuestionSet,
    setting: Setting,
    embedder: Embedder,
) -> Responses:
    """Responses to all questions in one setting; what was answered before is not asked again.

    The log is of the form that ``vlsuite omnibench score`` reads.

    Args:
        model: what was opened; the store knows it.
        respondent: the same as one that is asked.
        embedder: its store holds the log; where it keeps nothing, neither does this.
    Raises:
        EvaluationError: a question is left without an answer, or nothing can be asked.
    """
    header = header_of(respondent, found, style=style_of(respondent))
    with ExitStack() as stack:
        folder = embedder.folder(model, f"omnibench {header.to_json()}")
        is_shared = folder is not None
        if folder is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="vlsuite-answers-")))
        device = device_of(model)
        before = _logged(folder)
        barrier(device=device)
        questions = _share(found.questions, before, setting) if is_shared else found.questions
        ask(respondent, questions, [setting], _log(folder), header, show_progress=not ranks().rank)
        barrier(device=device)
        responses = _logged(folder)
    _refuse_unanswered(responses, found, setting, respondent)
    return responses


def _log(folder: Path) -> Path:
    """Of this process; one process alone may write a log."""
    rank, world_size = ranks()
    return folder / ("responses.jsonl" if world_size == 1 else f"responses.{rank}.jsonl")


def _logged(folder: Path) -> dict[tuple[int, str], Response]:
    """What all processes have logged, also of an earlier command with more or fewer of them."""
    responses: dict[tuple[int, str], Response] = {}
    for path in sorted(folder.glob("responses*.jsonl")):
        for key, response in read_log(path).responses.items():
            if key not in responses or responses[key].error is not None:
                responses[key] = response
    return responses


def _share(
    questions: Sequence[OmniQuestion], before: Responses, setting: Setting
) -> list[OmniQuestion]:
    """What this process asks: its share of the questions that have no answer yet."""
    waiting = [
        question
        for question in questions
        if (response := before.get((question.index, setting.name))) is None
        or response.kind == "failed"
    ]
    return [waiting[row] for row in np.unique(my_rows(len(waiting)))] if waiting else []


def _refuse_unanswered(
    responses: Responses, found: QuestionSet, setting: Setting, respondent: Respondent
) -> None:
    own = [responses.get((question.index, setting.name)) for question in found.questions]
    failed = [response for response in own if response is None or response.kind == "failed"]
    if failed:
        reason = failed[0].error if failed[0] is not None else "no response"
        raise EvaluationError(
            f"{respondent.name} leaves {len(failed)} of {len(own)} questions without an answer "
            f"({reason}); run the same command again, the others are kept"
        )
