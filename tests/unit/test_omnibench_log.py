"""The log of answers: killed, torn, shared or of another job, it never lies."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.support.omni_questions import write_github_form
from eval.errors import EvaluationError
from eval.omnibench.asking import ask, asked_questions, header_of
from eval.omnibench.log import appending, read_log
from eval.omnibench.question_set import QuestionSet
from eval.omnibench.read_questions import read_questions
from eval.respondents.question import SETTINGS, Prompted
from eval.respondents.response import Response

BOTH = [SETTINGS["image_audio"], SETTINGS["caption"]]


class Scripted:
    """Answers by a function of the question; backwards, since order is free."""

    name, fingerprint = "scripted", "f" * 64

    def __init__(self, stop_after: int | None = None, kind: str = "") -> None:
        self.stop_after, self.kind = stop_after, kind
        self.asked: list[tuple[int, str]] = []

    def respond(self, questions: Sequence[Prompted]) -> Iterator[Response]:
        for count, question in enumerate(reversed(questions)):
            if count == self.stop_after:
                raise KeyboardInterrupt
            self.asked.append((question.index, question.setting))
            error = "out of tries" if self.kind and question.index % 2 else None
            yield Response(
                index=question.index,
                setting=question.setting,
                text=None if error else f"answer {question.index}\n\u2028\x85",
                error=error,
                kind=self.kind if error else "",
            )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> QuestionSet:
    return read_questions(write_github_form(tmp_path_factory.mktemp("log"), 5))


def test_interrupted_asking_goes_on_without_repeating_anything(
    found: QuestionSet, tmp_path: Path
) -> None:
    log = tmp_path / "responses.jsonl"
    first, second = Scripted(stop_after=4), Scripted()
    with pytest.raises(KeyboardInterrupt):
        ask(first, found.questions, BOTH, log, header_of(first, found))
    assert len(read_log(log).responses) == 4
    asked = ask(second, found.questions, BOTH, log, header_of(second, found))
    assert (asked.before, asked.answered, asked.silent) == (4, 6, 0)
    assert sorted(first.asked + second.asked) == sorted(set(first.asked + second.asked))
    assert set(read_log(log).responses) == {
        (question.index, setting.name) for question in found.questions for setting in BOTH
    }
    nothing = Scripted()
    assert ask(nothing, found.questions, BOTH, log, header_of(nothing, found)).before == 10
    assert not nothing.asked


@pytest.mark.parametrize(("kind", "again"), [("failed", 4), ("refused", 0), ("media", 0)])
def test_only_what_failed_is_asked_again(
    found: QuestionSet, tmp_path: Path, kind: str, again: int
) -> None:
    log = tmp_path / "log"
    broken = Scripted(kind=kind)
    asked = ask(broken, found.questions, BOTH, log, header_of(broken, found))
    assert asked.troubles == {kind: 4}
    mended = Scripted()
    ask(mended, found.questions, BOTH, log, header_of(mended, found))
    assert len(mended.asked) == again
    responses = read_log(log).responses.values()
    assert sum(response.error is None for response in responses) == 6 + again


def test_log_cut_off_anywhere_is_read_and_continued(found: QuestionSet, tmp_path: Path) -> None:
    log = tmp_path / "log"
    model = Scripted()
    header = header_of(model, found)
    ask(model, found.questions, BOTH[:1], log, header)
    whole = log.read_bytes()
    complete = read_log(log).responses
    ends = [at for at, byte in enumerate(whole) if byte == ord("\n")]
    for length in sorted({0, 1, *range(5, len(whole), 97), *ends, *(end + 1 for end in ends)}):
        log.write_bytes(whole[:length])
        ask(Scripted(), found.questions, BOTH[:1], log, header)
        assert read_log(log).responses == complete


def test_broken_line_before_the_last_is_named(found: QuestionSet, tmp_path: Path) -> None:
    log = tmp_path / "log"
    model = Scripted()
    ask(model, found.questions, BOTH, log, header_of(model, found))
    lines = log.read_bytes().split(b"\n")
    log.write_bytes(b"\n".join([*lines[:2], b"{oops", *lines[3:]]))
    with pytest.raises(EvaluationError, match=r"log:3 is no JSON"):
        read_log(log)
    log.write_bytes(b"\n".join([*lines[:2], b'{"index": 1}', *lines[3:]]))
    with pytest.raises(EvaluationError, match=r"log:3: not a logged response"):
        read_log(log)
    log.write_bytes(b'{"omnibench_log": 99}\n')
    with pytest.raises(EvaluationError, match="no log of this version"):
        read_log(log)
    with pytest.raises(EvaluationError, match="cannot read the log"):
        read_log(tmp_path / "absent")


@pytest.mark.parametrize("change", ["fingerprint", "style", "limit", "revision", "sample_seed"])
def test_log_of_another_job_is_refused(found: QuestionSet, tmp_path: Path, change: str) -> None:
    from dataclasses import replace

    model = Scripted()
    header = header_of(model, found)
    log = tmp_path / "log"
    ask(model, found.questions, BOTH, log, header)
    before = log.read_bytes()
    other = replace(header, **{change: 7 if change in {"limit", "sample_seed"} else "other"})
    with pytest.raises(EvaluationError, match="begun with another") as caught:
        ask(model, found.questions, BOTH, log, other)
    assert "\n" not in str(caught.value)
    assert log.read_bytes() == before


def test_second_command_is_kept_out(found: QuestionSet, tmp_path: Path) -> None:
    header = header_of(Scripted(), found)
    with (
        appending(tmp_path / "log", header),
        pytest.raises(EvaluationError, match="another command"),
        appending(tmp_path / "log", header),
    ):
        pass
    with appending(tmp_path / "log", header):
        pass


def test_asked_questions_are_those_of_the_header(found: QuestionSet) -> None:
    from dataclasses import replace

    header = header_of(Scripted(), found, limit=3, sample_seed=1)
    assert len(asked_questions(found, header)) == 3
    assert asked_questions(found, replace(header, limit=None)) == found.questions
    with pytest.raises(EvaluationError, match="the log is about"):
        asked_questions(replace(found, revision="0" * 64), header)
