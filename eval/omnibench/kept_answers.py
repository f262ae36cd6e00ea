"""Answers of a model that ``vlsuite eval`` asks: logged in the store, shared by processes."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from data_pipelines.errors import UserError
from eval.contract import Embedder, Model
from eval.errors import UnansweredError
from eval.omnibench.asking import ask, header_of
from eval.omnibench.log import LogHeader, read_log
from eval.omnibench.question_set import QuestionSet
from eval.process_group import from_all, ranks
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

    The log is of the form that ``vlsuite omnibench score`` reads. Several processes ask each
    question once among them, whether they see one folder or each its own.

    Args:
        model: what was opened; the store knows it.
        respondent: the same as one that is asked.
        embedder: its store holds the log; where it keeps nothing, neither does this.
    Raises:
        UnansweredError: a question is left without an answer, or nothing can be asked; on every
            process, whichever it happened to.
    """
    header = header_of(respondent, found, style=style_of(respondent))
    with ExitStack() as stack:
        folder = embedder.folder(model, f"omnibench {header.to_json()}")
        if folder is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="vlsuite-answers-")))
        before = _together(partial(_logged, folder))
        questions = _share(found.questions, before, setting)
        responses = _together(partial(_ask, respondent, questions, setting, folder, header))
    _refuse_unanswered(responses, found, setting, respondent)
    return responses


def _ask(
    respondent: Respondent,
    questions: Sequence[OmniQuestion],
    setting: Setting,
    folder: Path,
    header: LogHeader,
) -> Responses:
    """What this process's folder holds after its share was asked.

    Raises:
        UserError: see ``ask``.
    """
    ask(respondent, questions, [setting], _log(folder), header, show_progress=not ranks().rank)
    return _logged(folder)


def _together(work: Callable[[], Responses]) -> Responses:
    """The responses of all processes.

    Raises:
        UnansweredError: the work failed on one of them; raised on all, as one that left alone
            would keep the others waiting.
    """
    own: Responses | str
    try:
        own = work()
    except UserError as error:
        own = str(error)
    gathered: list[Responses | str] = from_all(own)
    found: dict[tuple[int, str], Response] = {}
    for part in gathered:
        if isinstance(part, str):
            raise UnansweredError(part)
        _merge(found, part)
    return found


def _log(folder: Path) -> Path:
    """Of this process; one process alone may write a log."""
    rank, world_size = ranks()
    return folder / ("responses.jsonl" if world_size == 1 else f"responses.{rank}.jsonl")


def _logged(folder: Path) -> Responses:
    """What this folder holds, also of an earlier command with more or fewer processes.

    Raises:
        UserError: a log cannot be read.
    """
    responses: dict[tuple[int, str], Response] = {}
    for path in sorted(folder.glob("responses*.jsonl")):
        if b"\n" in path.read_bytes():  # one that was begun this moment has no header yet
            _merge(responses, read_log(path).responses)
    return responses


def _merge(found: dict[tuple[int, str], Response], more: Responses) -> None:
    """An answer stays, an error gives way."""
    for key, response in more.items():
        if key not in found or found[key].error is not None:
            found[key] = response


def _share(
    questions: Sequence[OmniQuestion], before: Responses, setting: Setting
) -> list[OmniQuestion]:
    """What this process asks of the questions without an answer; each falls to one process."""
    rank, world_size = ranks()
    waiting = [
        question
        for question in questions
        if (response := before.get((question.index, setting.name))) is None
        or response.kind == "failed"
    ]
    return waiting[rank::world_size]


def _refuse_unanswered(
    responses: Responses, found: QuestionSet, setting: Setting, respondent: Respondent
) -> None:
    own = [responses.get((question.index, setting.name)) for question in found.questions]
    failed = [response for response in own if response is None or response.kind == "failed"]
    if failed:
        reason = failed[0].error if failed[0] is not None else "no response"
        raise UnansweredError(
            f"{respondent.name} leaves {len(failed)} of {len(own)} questions without an answer "
            f"({reason}); run the same command again, the others are kept"
        )
