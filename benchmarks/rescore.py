"""How long does it take to score 1,142 stored responses again, with every parser?

The questions have OmniBench's numbers of each type; the responses are drawn from the forms that
models write: letters, letters with text, text alone, reasoning, markdown, refusals, nothing.

    python -m benchmarks.rescore
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Mapping

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from eval.omnibench.leaderboard import published
from eval.omnibench.log import Log, LogHeader, parse_log
from eval.omnibench.parsers.registry import parser_names
from eval.omnibench.question_set import QuestionSet
from eval.omnibench.scoring import ScoredLog, score_log
from eval.respondents.media import BytesMedia
from eval.respondents.question import LETTERS, OmniQuestion
from eval.respondents.response import Response

_SUBJECTS = ("man", "woman", "child", "singer", "driver", "teacher", "dog", "crowd")
_VERBS = ("opens", "closes", "paints", "repairs", "leaves", "watches", "carries", "sells")
_OBJECTS = ("the door", "a letter", "the old car", "some flowers", "the violin", "a red bag")

_FORMS: tuple[Callable[[str, str], str], ...] = (
    lambda letter, text: letter,
    lambda letter, text: f"{letter}.",
    lambda letter, text: f"{letter}. {text}",
    lambda letter, text: f"({letter}) {text}",
    lambda letter, text: text,
    lambda letter, text: f"**{letter}**",
    lambda letter, text: f"The correct answer is {letter}. {text}",
    lambda letter, text: f"\\boxed{{{letter}}}",
    lambda letter, text: f"{_REASONING}\n\nANSWER: {letter}",
    lambda letter, text: f"<think>{_REASONING}</think>\n{letter}",
    lambda letter, text: f"{_REASONING} So I would choose option {letter}, not the others.",
    lambda letter, text: "I'm sorry, I cannot hear any audio.",
    lambda letter, text: "A clear answer is not possible without the recording.",
    lambda letter, text: "",
)

_REASONING = (
    "Let us look at the picture first. A man stands by a table, and option A mentions one. "
    "The voice in the recording speaks of something else, which rules out (B). "
) * 6


def main() -> int:
    """Run the benchmark; returns the exit code."""
    args = _arguments()
    questions = made_questions(seed=args.seed)
    stored = _stored(questions, seed=args.seed)
    times = []
    names = parser_names()
    scored: Mapping[str, ScoredLog] = {}
    for _ in range(1 if args.quick else args.runs):
        start = time.perf_counter()
        log = parse_log(stored, where="made up")
        scored = {name: score_log(questions, log, parser=name) for name in names}
        times.append(time.perf_counter() - start)
    print(f"{'parser':<22}{'accuracy %':>12}{'unparsed':>10}")
    for name, one in scored.items():
        scores = one.settings["image_audio"]
        print(f"{name:<22}{100 * scores.accuracy.value:>12.2f}{scores.counts['unparsed']:>10}")
    seconds = statistics.median(times)
    print(f"{len(questions.questions):,} responses, {len(names)} parsers: {seconds:.3f} s")
    figures = {
        "responses": len(questions.questions),
        "parsers": len(names),
        "seconds": round(seconds, 4),
        "seconds_all": [round(value, 4) for value in times],
    }
    finish("rescore", figures, describe(), config={"seed": args.seed}, save=args.save)
    return 0


def made_questions(*, seed: int) -> QuestionSet:
    """Questions with the published numbers of each type; options and gold labels are drawn."""
    rng = random.Random(f"{seed}/questions")
    sizes = published().sizes
    audios = [kind for kind, count in sizes["audio_type"].items() for _ in range(count)]
    tasks = [kind for kind, count in sizes["task_type"].items() for _ in range(count)]
    rng.shuffle(audios)
    nothing = BytesMedia("none", b"")
    questions = tuple(
        OmniQuestion(
            index=index,
            task_type=task.replace("_", " "),
            audio_type=audio.replace("_", " "),
            text="What happens here?",
            options=_options(rng),
            answer=rng.randrange(4),
            transcript="",
            caption="",
            image=nothing,
            audio=nothing,
        )
        for index, (task, audio) in enumerate(zip(tasks, audios, strict=True))
    )
    return QuestionSet(name="made-up", questions=questions, revision=f"made up {seed}")


def made_log(questions: QuestionSet, *, seed: int) -> Log:
    """A response of some form to each; about half of the answers are right."""
    return parse_log(_stored(questions, seed=seed), where="made up")


def _stored(questions: QuestionSet, *, seed: int) -> bytes:
    rng = random.Random(f"{seed}/responses")
    header = LogHeader(
        question_set=questions.name,
        revision=questions.revision,
        respondent="made-up",
        fingerprint="",
    )
    lines = [header.to_json()]
    for question in questions.questions:
        choice = question.answer if rng.random() < 0.33 else rng.randrange(4)
        text = rng.choice(_FORMS)(LETTERS[choice], question.options[choice])
        lines.append(Response(index=question.index, setting="image_audio", text=text).to_json())
    return ("\n".join(lines) + "\n").encode()


def _options(rng: random.Random) -> tuple[str, ...]:
    found: dict[str, None] = {}
    while len(found) < 4:
        article = rng.choice(("A", "The", "One"))
        subject, verb = rng.choice(_SUBJECTS), rng.choice(_VERBS)
        found[f"{article} {subject} {verb} {rng.choice(_OBJECTS)}."] = None
    return tuple(found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="timed (default: 5)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one timed run")
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    return parser.parse_args()


if __name__ == "__main__":
    run_as_program(main)
