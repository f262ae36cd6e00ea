"""Asking a model a question set in several settings, into a log that survives everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.errors import EvaluationError
from eval.omnibench.log import LogHeader, LogWriter, appending
from eval.omnibench.question_set import QuestionSet, sample
from eval.progress import Progress
from eval.respondents.contract import Respondent
from eval.respondents.question import OmniQuestion, Setting, prompted


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command has asked.

    Args:
        questions: asked for, over all settings.
        before: of them, those that the log held an answer to already.
        answered: of them, now with an answer.
        troubles: now logged with an error, by kind.
        silent: that the model gave no response to at all.
    """

    questions: int
    before: int
    answered: int
    troubles: dict[str, int]
    silent: int

    def summary(self) -> str:
        """One line for a person."""
        told = f"{self.questions:,} questions: {self.before:,} were in the log, "
        told += f"{self.answered:,} answered now"
        for kind, count in sorted(self.troubles.items()):
            told += f", {count:,} {kind}"
        return told + (f", {self.silent:,} without any response" if self.silent else "")


def header_of(
    respondent: Respondent,
    found: QuestionSet,
    *,
    style: str = "",
    limit: int | None = None,
    sample_seed: int = 0,
) -> LogHeader:
    """What the log of such a job begins with."""
    return LogHeader(
        question_set=found.name,
        revision=found.revision,
        respondent=respondent.name,
        fingerprint=respondent.fingerprint,
        style=style,
        limit=limit,
        sample_seed=sample_seed,
    )


def asked_questions(found: QuestionSet, header: LogHeader) -> Sequence[OmniQuestion]:
    """The questions that a log of this header is about: all, or its sample.

    Raises:
        EvaluationError: the log is about other questions.
    """
    if found.revision != header.revision:
        raise EvaluationError(
            f"the log is about {header.question_set} ({header.revision[:12]}), not about "
            f"{found.name} as it is now ({found.revision[:12]}); give the questions it was asked"
        )
    if header.limit is None:
        return found.questions
    return sample(found.questions, header.limit, seed=header.sample_seed)


def ask(
    respondent: Respondent,
    questions: Sequence[OmniQuestion],
    settings: Sequence[Setting],
    log_path: Path,
    header: LogHeader,
    *,
    retry_kinds: Sequence[str] = ("failed",),
    show_progress: bool = False,
) -> Asked:
    """Ask what the log does not hold yet, setting by setting, in the order of the questions.

    Each response is in the log before the next is taken, so a killed command loses none; the same
    command then goes on. Responses come in any order; readers go by index and setting.

    Args:
        respondent: the model.
        questions, settings: what to ask.
        log_path: begun here where missing.
        header: must equal that of a log that is there.
        retry_kinds: kinds of logged errors that are asked again.
        show_progress: whether a progress line goes to standard error.

    Raises:
        EvaluationError: the log cannot be written or was begun with other settings, or nothing
            can be asked.
    """
    with appending(log_path, header) as writer:
        missing = [
            prompted(question, setting)
            for setting in settings
            for question in questions
            if _is_missing(writer, question, setting, retry_kinds)
        ]
        total = len(questions) * len(settings)
        before = total - len(missing)
        progress = Progress(f"asking {respondent.name}", total=len(missing), unit="questions")
        waiting = {(question.index, question.setting) for question in missing}
        answered, troubles = 0, {}
        for response in respondent.respond(missing) if missing else ():
            key = (response.index, response.setting)
            if key not in waiting:
                raise EvaluationError(
                    f"{respondent.name} answered question {key[0]} ({key[1]}) twice or unasked"
                )
            waiting.discard(key)
            writer.append(response)
            if response.error is None:
                answered += 1
            else:
                troubles[response.kind] = troubles.get(response.kind, 0) + 1
            if show_progress:
                progress.add(1)
        if show_progress:
            progress.close()
    return Asked(total, before, answered, troubles, len(waiting))


def _is_missing(
    writer: LogWriter, question: OmniQuestion, setting: Setting, retry_kinds: Sequence[str]
) -> bool:
    response = writer.log.responses.get((question.index, setting.name))
    return response is None or (response.error is not None and response.kind in retry_kinds)
