"""Scores of logged responses, offline: accuracy by every axis, nothing left out.

A question without an answer, for whatever reason, is wrong; ``answered_only`` beside it says what
the share would be without those, and of how many. Shares of questions have Wilson's interval;
means over types have effective trials, the variance by type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.errors import EvaluationError
from eval.metrics.intervals import per_class_score, wilson_score
from eval.omnibench.log import Log
from eval.omnibench.outcomes import Outcome, hits, outcomes_of
from eval.omnibench.parsers.registry import parsers
from eval.omnibench.question_set import QuestionSet, sample
from eval.respondents.endings import ENDINGS
from eval.respondents.outcome import KINDS
from eval.respondents.question import SETTINGS
from eval.results import Score

DEFAULT_PARSER = "vlsuite"


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingScores:
    """One model in one setting.

    Attributes:
        setting: name of the setting.
        parser: name of the parser of the responses.
        outcomes: of every question, in their order.
        accuracy: share of all questions answered rightly (micro mean).
        answered_only: the same among questions with an answer; None where none has one.
        macro_task, macro_audio: mean of the accuracies of the types.
        by_task, by_audio: accuracy of each type, in the order of first appearance.
        by_both: accuracy of each (task type, audio type) that has questions.
        counts: questions of each ``Kind``.
        endings: answers by why they ended, of those that tell.
        chance: what guessing reaches on average: the mean of 1 / number of options.
        chance_macro_task, chance_macro_audio: the same for the means over types.
    """

    setting: str
    parser: str
    outcomes: tuple[Outcome, ...]
    accuracy: Score
    answered_only: Score | None
    macro_task: Score
    macro_audio: Score
    by_task: Mapping[str, Score]
    by_audio: Mapping[str, Score]
    by_both: Mapping[tuple[str, str], Score]
    counts: Mapping[str, int]
    endings: Mapping[str, int]
    chance: float
    chance_macro_task: float
    chance_macro_audio: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredLog:
    """All settings of one log.

    Attributes:
        model: name of the respondent.
        question_set: name of the questions.
        revision: of the questions.
        style: of the prompts.
        settings: by name, in the order of the benchmark.
        notes: what a reader must know about the denominators, one line each.
        asked: how many questions the log is about, and how many the set has.
        num_unusable: stored records that are no questions (broken lines, missing media).
    """

    model: str
    question_set: str
    revision: str
    style: str
    settings: Mapping[str, SettingScores]
    notes: tuple[str, ...]
    asked: tuple[int, int]
    num_unusable: int


def score_log(
    questions: QuestionSet,
    log: Log,
    *,
    parser: str = DEFAULT_PARSER,
    settings: Sequence[str] = (),
    seed: int = 0,
) -> ScoredLog:
    """Score a log with any parser; nothing is asked again.

    Args:
        settings: which of them; empty takes all that the log has.
        seed: of the intervals.
    Raises:
        EvaluationError: the log is about other questions, or has no such setting or nothing at
            all.
        UnknownNameError: no such parser.
    """
    header = log.header
    if header.revision != questions.revision:
        raise EvaluationError(
            f"the log was made with other questions ({header.question_set}, revision "
            f"{header.revision[:12]}) than {questions.name} ({questions.revision[:12]}); "
            "give the folder it was made with"
        )
    asked = questions.questions
    if header.limit is not None:
        asked = tuple(sample(asked, header.limit, seed=header.sample_seed))
    found = {setting for _, setting in log.responses}
    names = [name for name in SETTINGS if name in (settings or found)]
    absent = [name for name in settings if name not in found]
    if absent or not names:
        lack = f"no responses in setting {', '.join(absent)}" if absent else "no responses yet"
        raise EvaluationError(
            f"the log has {lack} (settings with responses: {', '.join(sorted(found)) or 'none'}); "
            "run 'vlsuite omnibench run' with --setting"
        )
    parse = parsers.get(parser)
    scored = {
        name: score_outcomes(
            outcomes_of(
                asked,
                log.responses,
                setting=name,
                parse=parse,
                reads_endings=parser == DEFAULT_PARSER,
            ),
            setting=name,
            parser=parser,
            seed=seed,
        )
        for name in names
    }
    return ScoredLog(
        model=header.respondent,
        question_set=questions.name,
        revision=questions.revision,
        style=header.style,
        settings=scored,
        notes=_notes(questions, scored, len(asked)),
        asked=(len(asked), len(questions.questions)),
        num_unusable=len(questions.problems),
    )


def score_outcomes(
    outcomes: Sequence[Outcome], *, setting: str, parser: str, seed: int
) -> SettingScores:
    """Scores of one setting.

    Args:
        outcomes: at least one.
        seed: of the intervals.
    """
    is_right = hits(outcomes)
    tasks = [outcome.question.task_type for outcome in outcomes]
    audios = [outcome.question.audio_type for outcome in outcomes]
    answered = np.array([outcome.kind == "answered" for outcome in outcomes], dtype=bool)
    guesses = np.array([1 / len(outcome.question.options) for outcome in outcomes])
    return SettingScores(
        setting=setting,
        parser=parser,
        outcomes=tuple(outcomes),
        accuracy=wilson_score(is_right),
        answered_only=wilson_score(is_right[answered]) if answered.any() else None,
        macro_task=per_class_score(is_right, _numbers(tasks), seed=seed),
        macro_audio=per_class_score(is_right, _numbers(audios), seed=seed),
        by_task=_by(tasks, is_right),
        by_audio=_by(audios, is_right),
        by_both=_by(list(zip(tasks, audios, strict=True)), is_right),
        counts={kind: sum(o.kind == kind for o in outcomes) for kind in KINDS},
        endings={
            ending: count
            for ending in ENDINGS
            if ending and (count := sum(o.ending == ending for o in outcomes))
        },
        chance=float(guesses.mean()),
        chance_macro_task=_macro(tasks, guesses),
        chance_macro_audio=_macro(audios, guesses),
    )


def _by(types: Sequence, is_right: np.ndarray) -> dict:
    """Wilson scores by type, in the order of first appearance."""
    numbers = _numbers(types)
    return {
        kind: wilson_score(is_right[numbers == i]) for i, kind in enumerate(dict.fromkeys(types))
    }


def _macro(types: Sequence[str], values: np.ndarray) -> float:
    numbers = _numbers(types)
    return float(np.mean([values[numbers == i].mean() for i in range(numbers.max() + 1)]))


def _numbers(types: Sequence) -> np.ndarray:
    number = {kind: i for i, kind in enumerate(dict.fromkeys(types))}
    return np.array([number[kind] for kind in types], dtype=np.int64)


def _notes(
    questions: QuestionSet, scored: Mapping[str, SettingScores], num_asked: int
) -> tuple[str, ...]:
    notes = []
    if num_asked < len(questions.questions):
        notes.append(
            f"{num_asked} of {len(questions.questions)} questions, drawn within each type; the "
            "published figures are about all"
        )
    if questions.problems:
        notes.append(
            f"{len(questions.problems)} stored records are no usable questions and in no figure "
            f"({_told(questions.problems)})"
        )
    for name, scores in scored.items():
        lost = {kind: n for kind, n in scores.counts.items() if n and kind != "answered"}
        if lost:
            told = ", ".join(f"{n} {kind}" for kind, n in lost.items())
            notes.append(f"{name}: {told}; all counted as wrong")
        cut = scores.endings.get("length", 0)
        if cut:
            notes.append(
                f"{name}: {cut} answers ended at the token limit; of those, "
                f"{scores.counts['cut']} had not stated an option; raise --max-tokens"
            )
    return tuple(notes)


def _told(problems: Sequence[object], *, shown: int = 20) -> str:
    more = [f"and {len(problems) - shown} more"] if len(problems) > shown else []
    return "; ".join([*map(str, problems[:shown]), *more])


def positions(outcomes: Sequence[Outcome]) -> np.ndarray:
    """Questions by place of the right option (rows) and of the chosen one (columns).

    The last column counts questions without an answer. A model that prefers a place, whatever
    stands there, fills a column.
    """
    width = max((len(outcome.question.options) for outcome in outcomes), default=0)
    table = np.zeros((width, width + 1), dtype=np.int64)
    for outcome in outcomes:
        table[outcome.question.answer, width if outcome.choice is None else outcome.choice] += 1
    return table
