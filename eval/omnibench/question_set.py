"""A set of questions, whichever form it is stored in, and a fair sample of it."""

import hashlib
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from eval.errors import EvaluationError
from eval.omnibench.question import OmniQuestion
from eval.omnibench.record import Problem

#: How much of either end of a media file goes into the revision, bytes.
_END_BYTES = 64 * 1024

_HUB_PREFIX = "hf:"


@dataclass(frozen=True, kw_only=True, slots=True)
class QuestionSet:
    """All usable questions of one source.

    Args:
        name: of the folder, file or hub data set.
        questions: in stored order.
        revision: SHA-256 over all records as stored and, for every media file (GitHub form) or
            Parquet file (hub form), its name, its size and its first and last 64 KiB. Whole
            contents are not read: the published media are gigabytes.
        problems: the records that are left out, and why.
    """

    name: str
    questions: tuple[OmniQuestion, ...]
    revision: str
    problems: tuple[Problem, ...] = ()


def read_questions(path: Path | str) -> QuestionSet:
    """Read a question set in the GitHub or the hub form.

    Args:
        path: folder with ``dataset/*.jsonl`` and ``mm_data``, one such ``.jsonl`` file, a Parquet
            file or a folder of them, or ``hf:OWNER/NAME`` for a data set on the Hugging Face hub.

    Raises:
        EvaluationError: there is no such thing, it has another form, or no record is usable.
    """
    from eval.omnibench import hub_form

    text = str(path)
    if text.startswith(_HUB_PREFIX):
        found = hub_form.read_hub(text.removeprefix(_HUB_PREFIX))
    else:
        found = _read_local(Path(path))
    if not found.questions:
        kinds = Counter(problem.kind for problem in found.problems)
        told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(3)) or "no records"
        first = f"; first: {found.problems[0].where}" if found.problems else ""
        raise EvaluationError(f"{text} holds no usable question ({told}{first})")
    return found


def _read_local(path: Path) -> QuestionSet:
    from eval.omnibench import github_form, hub_form

    if not path.exists():
        raise EvaluationError(
            f"no questions at {path}; give OmniBench's folder (dataset/*.jsonl and mm_data), its "
            "Parquet files, or hf:m-a-p/OmniBench"
        )
    if path.suffix.lower() in {".xlsx", ".xls"}:
        raise EvaluationError(
            f"{path} is a spreadsheet, which is not read; use the published jsonl with mm_data, or "
            "Parquet files"
        )
    if path.suffix == ".jsonl":
        return github_form.read_github([path])
    if path.suffix == ".parquet":
        return hub_form.read_parquet([path], name=path.stem)
    if path.is_dir():
        records = sorted(path.glob("dataset/*.jsonl")) or sorted(path.glob("*.jsonl"))
        if records:
            return github_form.read_github(records)
        tables = sorted(path.rglob("*.parquet"))
        if tables:
            return hub_form.read_parquet(tables, name=path.resolve().name)
    raise EvaluationError(
        f"{path} has neither dataset/*.jsonl nor Parquet files; give OmniBench's folder"
    )


def sample(questions: Sequence[OmniQuestion], n: int, *, seed: int = 0) -> list[OmniQuestion]:
    """``n`` questions drawn within each task type x audio type, in stored order.

    The published file is grouped by type, so its first questions are no fair sample. Every type
    gets its share by the largest remainders; our own scheme.

    Raises:
        EvaluationError: ``n`` is below 1.
    """
    if n < 1:
        raise EvaluationError(f"cannot draw {n} questions; the limit is at least 1")
    if n >= len(questions):
        return list(questions)
    strata: dict[tuple[str, str], list[int]] = {}
    for place, question in enumerate(questions):
        strata.setdefault((question.task_type, question.audio_type), []).append(place)
    rng = random.Random(f"omnibench sample {seed}")
    for places in strata.values():
        rng.shuffle(places)
    shares = {key: n * len(places) / len(questions) for key, places in strata.items()}
    taken = {key: int(share) for key, share in shares.items()}
    by_remainder = sorted(strata, key=lambda key: (taken[key] - shares[key], key))
    for key in by_remainder[: n - sum(taken.values())]:
        taken[key] += 1
    chosen = sorted(place for key, places in strata.items() for place in places[: taken[key]])
    return [questions[place] for place in chosen]


def digest_ends(digest: "hashlib._Hash", path: Path) -> None:
    """Add name, size and both ends of a file to ``digest``.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        digest.update(_ends(stream, size))


def _ends(stream: BinaryIO, size: int) -> bytes:
    if size <= 2 * _END_BYTES:
        return stream.read()
    first = stream.read(_END_BYTES)
    stream.seek(size - _END_BYTES)
    return first + stream.read(_END_BYTES)
