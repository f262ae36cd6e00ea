"""A question set as a data set of the evaluation contract: its pictures by number."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt64

from data_pipelines.errors import DataError
from eval.data.dataset import EvalDataset, Layout
from eval.data.set_kinds import set_kinds
from eval.omnibench.question_set import QuestionSet
from eval.omnibench.read_questions import read_questions

_SIGNATURES = ((b"\x89PNG", "png"), (b"RIFF", "webp"))


@dataclass(frozen=True, slots=True)
class QuestionImages:
    """The pictures of questions, one a question; satisfies ``StoredImages``.

    Args:
        found: the questions.
        same_as, image_ids: see ``StoredImages``.
    """

    found: QuestionSet
    same_as: Int64[np.ndarray, " images"]
    image_ids: UInt64[np.ndarray, " images"]

    def __len__(self) -> int:
        return len(self.found.questions)

    def key(self, i: int) -> str:
        """See ``NamedImages``."""
        return self.found.questions[i].image.name

    def read(self, i: int) -> bytes:
        """See ``StoredImages``."""
        return self.found.questions[i].image.read()

    def members(self, i: int) -> Mapping[str, bytes]:
        """The picture alone."""
        data = self.read(i)
        suffix = next((name for start, name in _SIGNATURES if data.startswith(start)), "jpg")
        return {suffix: data}

    def fingerprint(self) -> bytes:
        """See ``StoredImages``."""
        return hashlib.sha256(self.found.revision.encode()).digest()


def is_question_folder(path: str) -> bool:
    """Whether a path is OmniBench's folder: ``dataset/*.jsonl`` with ``mm_data``."""
    folder = Path(path)
    return (folder / "mm_data").is_dir() and any(folder.glob("dataset/*.jsonl"))


def open_questions(path: str) -> EvalDataset:
    """A question set of any form as a data set.

    Raises:
        EvaluationError: see ``eval.omnibench.read_questions.read_questions``.
    """
    found = read_questions(path)
    digests = [_digest(question.image.read) for question in found.questions]
    first: dict[bytes, int] = {}
    same_as = [first.setdefault(digest, i) for i, digest in enumerate(digests)]
    ids = [int.from_bytes(digest[:8], "big") for digest in digests]
    local = Path(path)
    layout = Layout(
        name=found.name,
        split="all",
        shards=((local if local.is_file() else local / "dataset"),),
        classes=None,
        declared_task="omnibench",
        one_per_line=False,
    )
    return EvalDataset(
        layout=layout,
        task="omnibench",
        images=QuestionImages(found, np.array(same_as), np.array(ids, dtype=np.uint64)),
        labels=None,
        captions=None,
        revision=found.revision,
        num_skipped={"no usable question": len(found.problems)} if found.problems else {},
        problems=tuple(map(str, found.problems)),
    )


@set_kinds.register("omnibench")
class QuestionFolders:
    """OmniBench in any of its forms; the folder of its authors is recognised."""

    recognises = staticmethod(is_question_folder)
    open = staticmethod(open_questions)


def in_setting(dataset: EvalDataset, setting: str) -> EvalDataset:
    """The same questions with a setting for their split, which names result files."""
    return replace(dataset, layout=dataset.layout._replace(split=setting))


def _digest(read) -> bytes:
    """Of a picture; one that cannot be read is like no other."""
    try:
        return hashlib.sha256(read()).digest()
    except DataError as error:
        return hashlib.sha256(f"unreadable {error}".encode()).digest()
