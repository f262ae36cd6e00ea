"""What becomes of an answer that is streamed, cut, filtered, in parts or one of several?

Real chat servers on loopback, one for each case, send every answer in one way, byte for byte. The
whole command (``vlsuite omnibench run``) asks each of them the same questions; then again, which
must send nothing where answers were stored. Beside the kind that the questions are counted as
stand the requests that it took, and the ending in the log.
"""

import argparse
import contextlib
import io
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.support import environment, report
from benchmarks.support.omni_questions import write_github_form
from benchmarks.support.program import run_as_program
from benchmarks.support.scripted_server import (
    Script,
    ScriptedServer,
    Sent,
    chunk,
    event,
    refusal,
    told,
)
from eval.omnibench.log import read_log
from vlsuite.cli.main import main as vlsuite

_ONLY_STREAMS = (
    "This model only support stream mode, please enable the stream parameter to access the model. "
)


@dataclass(frozen=True, slots=True)
class Case:
    """One way of answering.

    Args:
        script: what the server sends.
        expected: the kind that every question counts as; empty where the command must stop.
        per_question: requests for each question.
        once: requests besides.
        options: of the command.
    """

    script: Script
    expected: str
    per_question: int = 1
    once: int = 0
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a case.

    Args:
        code: exit code of the command.
        kinds, endings: questions by what they were counted as, and by the ending in the log.
        requests: that the server received.
        requests_again: that it received of the same command once more.
    """

    code: int
    kinds: Mapping[str, int]
    endings: Mapping[str, int]
    requests: int
    requests_again: int


def cases() -> dict[str, Case]:
    """All ways of answering, by name."""
    letter = {"content": "The answer is B."}
    thought = "First the sound, then the picture: B or C"
    parts = [
        {"type": "reasoning", "text": "Not C. C?"},
        {"type": "text", "text": "The answer is B."},
    ]
    by_byte = _bytes(told("\u7b54\u6848 B"))  # characters of three bytes
    late = [_choice({"content": "C"}, index=1), _choice(letter, index=0)]
    return {
        "whole": Case(_always(_whole(letter)), "answered"),
        "no finish_reason": Case(_always(_whole(letter, finish=None)), "answered"),
        "word of its own": Case(_always(_whole(letter, finish="eos_token")), "answered"),
        "streams only": Case(_only_streams, "answered", once=1),
        "streams on request": Case(_on_request, "answered", options=("--stream", "on")),
        "streams unasked": Case(_always(_events(told("The answer ", "is B."))), "answered"),
        "stream of single bytes": Case(_always(_events(by_byte)), "answered"),
        "stream without [DONE]": Case(_always(_events(told("B")[:-1])), "answered"),
        "stream cut once": Case(_cut_once, "answered", per_question=2),
        "stream cut always": Case(_always(_events(told("B")[:2])), ""),
        "error in the stream": Case(_always(_events([event(chunk("B")), _ERROR])), ""),
        "stream without end": Case(_always(_events(_Endless())), ""),
        "cut at the limit": Case(_always(_whole({"content": _cut_text()}, finish="length")), "cut"),
        "stream cut at the limit": Case(_always(_events(_at_limit())), "cut"),
        "only thought, cut": Case(
            _always(_whole({"content": None, "reasoning_content": thought}, finish="length")), "cut"
        ),
        "<think> left open": Case(
            _always(_whole({"content": f"<think>{thought}"}, finish="length")), "cut"
        ),
        "filtered": Case(_always(_whole({"content": ""}, finish="content_filter")), "filtered"),
        "filtered half-way": Case(_always(_whole(letter, finish="content_filter")), "filtered"),
        "declined": Case(
            _always(_whole({"content": None, "refusal": "I can't help with that."})), "declined"
        ),
        "silent": Case(_always(_whole({"content": ""})), "unanswered"),
        "parts": Case(_always(_whole({"content": parts})), "answered"),
        "several choices": Case(_always(_json({"choices": late})), "answered"),
    }


def measure(case: Case, questions: Path, folder: Path) -> Found:
    """Run the command twice against a server.

    Args:
        folder: for the run; made here.
    """
    with ScriptedServer(case.script) as server:
        code = _run(questions, folder, server.url, case.options)
        requests = len(server.requests)
        _run(questions, folder, server.url, case.options)
        again = len(server.requests) - requests
    kinds: dict[str, int] = {}
    for path in (folder / "results").glob("*.json"):
        kinds = json.loads(path.read_text())["details"]["counts"]
    log = folder / "responses.jsonl"
    responses = read_log(log).responses.values() if log.exists() else ()
    endings = Counter(response.ending for response in responses)
    return Found(code, {k: n for k, n in kinds.items() if n}, endings, requests, again)


def is_right(case: Case, found: Found, num_questions: int) -> bool:
    """Whether all questions were counted as they should, at the cost they should have."""
    if not case.expected:
        return found.code == 2 and not found.kinds
    is_counted = found.code == 0 and found.kinds == {case.expected: num_questions}
    requests = num_questions * case.per_question + case.once
    return is_counted and found.requests == requests and found.requests_again == 0


def _run(questions: Path, folder: Path, url: str, options: tuple[str, ...]) -> int:
    words = ["omnibench", "run", str(questions), "--model", f"{url}#m", "--out", str(folder)]
    words += ["--cache", str(folder / "cache"), "--tries", "2", "--first-wait", "0.001"]
    words += ["--timeout", "5", "--max-body", "1", "--concurrency", "2", *options]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return vlsuite(words)


_ERROR = event({"error": {"message": "engine died", "code": 500}})


def _choice(
    message: dict[str, Any], *, index: int = 0, finish: str | None = "stop"
) -> dict[str, Any]:
    message = {"role": "assistant", **message}
    return {"index": index, "message": message, "finish_reason": finish}


def _whole(message: dict[str, Any], *, finish: str | None = "stop") -> Sent:
    return _json({"choices": [_choice(message, finish=finish)]})


def _json(body: dict[str, Any]) -> Sent:
    return Sent(pieces=[json.dumps(body).encode()], kind="application/json")


def _events(pieces: Iterable[bytes]) -> Sent:
    return Sent(pieces=pieces)


def _always(sent: Sent) -> Script:
    return lambda request, before: sent


def _only_streams(request: dict[str, Any], before: int) -> Sent:
    return _events(told("The answer ", "is B.")) if request.get("stream") else _REFUSAL


_REFUSAL = refusal(_ONLY_STREAMS, code="invalid_parameter_error")


def _on_request(request: dict[str, Any], before: int) -> Sent:
    letter = "B" if request.get("stream") else "not asked for as a stream"
    return _events(told(letter))


def _cut_once(request: dict[str, Any], before: int) -> Sent:
    return _events(told("The answer is C", " no, B.")[: None if before else 2])


def _at_limit() -> list[bytes]:
    return [event(chunk(_cut_text())), event(chunk(finish="length")), event("[DONE]")]


def _cut_text() -> str:
    return "Let us look at every option in turn. Option B might be what the"


def _bytes(pieces: list[bytes]) -> list[bytes]:
    return [bytes([byte]) for piece in pieces for byte in piece]


class _Endless:
    """Chunks for ever, each time it is read."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield event(chunk("B " * 1000))


def main() -> None:
    args = _parse()
    described = environment.describe()  # of the code that is about to run
    rows, wrong = [], 0
    with tempfile.TemporaryDirectory(prefix="omnibench-endings-") as folder:
        questions = write_github_form(Path(folder) / "questions", args.questions)
        for number, (name, case) in enumerate(cases().items()):
            found = measure(case, questions, Path(folder) / str(number))
            right = is_right(case, found, args.questions)
            wrong += not right
            rows.append(
                {
                    "case": name,
                    "expected": case.expected or "command stops",
                    "counted_as": dict(found.kinds) or f"exit code {found.code}",
                    "endings": dict(found.endings),
                    "requests": found.requests,
                    "requests_again": found.requests_again,
                    "is_right": right,
                }
            )
            print(
                f"{name:24}  {rows[-1]['expected']:14}  {rows[-1]['counted_as']!s:22}  "
                f"{rows[-1]['endings']!s:26}  {found.requests:3}  {'' if right else 'WRONG'}"
            )
    report.finish(
        "omnibench_endings",
        {"cases": len(rows), "wrong": wrong, "rows": rows},
        described,
        config={"questions": args.questions},
        save=args.save,
    )
    if wrong:
        raise SystemExit(1)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.omnibench_endings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--questions", type=int, default=8, help="a case (default 8)")
    parser.add_argument("--quick", action="store_true", help="4 questions a case")
    parser.add_argument("--seed", type=int, default=0, help="changes nothing: nothing is drawn")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        args.questions = 4
    return args


if __name__ == "__main__":
    run_as_program(main)
