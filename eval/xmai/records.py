"""Perturbed captions on disk: JSON lines, a header first, one caption a line in input order.

A line says what was inserted where, so that the original comes back byte for byte and a person
can see why each word was chosen. Text is stored as ASCII with escapes: no character of a caption
can then break a line, and unpaired surrogates survive.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from data_pipelines.bounded_json import parsed_json
from data_pipelines.shards.atomic import make_folder, replacing
from eval.errors import EvaluationError

FORMAT = "vlsuite-perturbed-captions-1"


@runtime_checkable
class KeyedPictures(Protocol):
    """Pictures that are called something: an ``EvalDataset``, for one."""

    def __len__(self) -> int: ...

    def key(self, i: int) -> str:
        """What picture ``i`` is called; empty where nothing says."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A word that could have been inserted, with its scores.

    Args:
        word: the word alone.
        p: probability by the language model, 0 to 1.
        a: largest similarity with an attribute that was detected on the noun; 0 without any.
        d: 1 - cosine of picture and sentence, 0 to 2.
        t: how well the picture supports the word, 0 to 1.
        s: the objective that the choice maximises, -1 to 1.
    """

    word: str
    p: float
    a: float
    d: float
    t: float
    s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Insertion:
    """One inserted word.

    Args:
        offset: characters of the ORIGINAL before the inserted text.
        text: what was inserted, with its space.
        word: the word in it.
        noun: what it was put before, as the original writes it.
        noun_offset: where the noun begins in the original.
        candidates: all that were compared, best first; empty where nothing was.
        supported: whether the picture shows what the word says; None where nobody looked.
    """

    offset: int
    text: str
    word: str
    noun: str
    noun_offset: int
    candidates: tuple[Candidate, ...] = ()
    supported: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PerturbedCaption:
    """A caption and what became of it.

    Args:
        uid: of the picture; see ``uids_of``.
        caption_number: which of the picture's captions, from 0.
        insertions: ascending by offset; empty for methods that rewrite.
        label: what the text is to the picture ("entailment", ...), where that is known.
    """

    uid: str
    caption_number: int
    original: str
    perturbed: str
    method: str
    insertions: tuple[Insertion, ...] = ()
    label: str | None = None

    @property
    def id(self) -> str:
        """Picture and caption: what seeds are drawn from and files are joined by."""
        return row_id(self.uid, self.caption_number)

    @property
    def is_changed(self) -> bool:
        """Whether anything happened to the caption."""
        return self.perturbed != self.original

    def restored(self) -> str:
        """The perturbed caption without the inserted spans.

        Raises:
            ValueError: a span is not where it is said to be.
        """
        parts, position, shift = [], 0, 0
        for insertion in self.insertions:
            start = insertion.offset + shift
            end = start + len(insertion.text)
            if start < position or self.perturbed[start:end] != insertion.text:
                raise ValueError(f"{self.id}: {insertion.text!r} is not at character {start}")
            parts.append(self.perturbed[position:start])
            position, shift = end, shift + len(insertion.text)
        return "".join(parts) + self.perturbed[position:]

    def to_json(self) -> dict[str, Any]:
        """Plain values in the order of the file."""
        label = {} if self.label is None else {"label": self.label}
        return {
            "id": self.id,
            "uid": self.uid,
            "caption_number": self.caption_number,
            "original": self.original,
            "perturbed": self.perturbed,
            "method": self.method,
            "insertions": [asdict(insertion) for insertion in self.insertions],
        } | label


@dataclass(frozen=True, slots=True)
class PerturbedFile:
    """What ``read_perturbed`` found.

    Args:
        header: format, method, settings, seed, and under "models" name and fingerprint by role.
        captions: in the order of the input.
    """

    header: dict[str, Any]
    captions: tuple[PerturbedCaption, ...]


def row_id(uid: str, caption_number: int) -> str:
    """Names a caption: "<uid>#<caption number>"."""
    return f"{uid}#{caption_number}"


def uids_of(dataset: KeyedPictures) -> list[str]:
    """What the pictures of a data set are called in these files: their key.

    Pictures without a key go by their number, and pictures that share one by key and number.
    """
    keys = [dataset.key(i) for i in range(len(dataset))]
    counts = Counter(keys)
    return [
        key if key and counts[key] == 1 else f"{key}@{number}" for number, key in enumerate(keys)
    ]


def inserted(original: str, insertions: Sequence[Insertion]) -> str:
    """The original with every span put in; ``insertions`` ascending by offset."""
    parts, position = [], 0
    for insertion in insertions:
        parts += [original[position : insertion.offset], insertion.text]
        position = insertion.offset
    return "".join(parts) + original[position:]


def line_of(record: dict[str, Any]) -> bytes:
    """One line of the file, with its end."""
    return json.dumps(record, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def write_perturbed(
    path: Path, header: dict[str, Any], captions: Iterable[PerturbedCaption]
) -> None:
    """Write a file whole or not at all.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    make_folder(path.parent)
    with replacing(path) as file:
        file.write(line_of({"format": FORMAT} | header))
        for caption in captions:
            file.write(line_of(caption.to_json()))


def read_perturbed(path: Path) -> PerturbedFile:
    """Read a file and check that the spans are where it says.

    Raises:
        EvaluationError: no such file, not this format, or a broken line.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise EvaluationError(
            f"cannot read {path}: {error.strerror}; 'vlsuite xmai perturb' writes such files"
        ) from error
    header = _json_of(path, 1, lines[0])
    if header.get("format") != FORMAT:
        raise EvaluationError(
            f"{path} does not begin with a header of format {FORMAT}; give a file that "
            "'vlsuite xmai perturb' wrote"
        )
    captions = [
        _caption(path, number, line) for number, line in enumerate(lines[1:], start=2) if line
    ]
    repeated = [name for name, count in Counter(c.id for c in captions).items() if count > 1]
    if repeated:
        raise EvaluationError(f"{path} has caption {repeated[0]} more than once; write it anew")
    return PerturbedFile(header, tuple(captions))


def caption_from_json(record: dict[str, Any]) -> PerturbedCaption:
    """The inverse of ``PerturbedCaption.to_json``.

    Raises:
        KeyError, TypeError: a field is missing or of another kind.
        ValueError: id or spans contradict the rest.
    """
    insertions = tuple(
        Insertion(**{**one, "candidates": tuple(Candidate(**c) for c in one["candidates"])})
        for one in record["insertions"]
    )
    caption = PerturbedCaption(
        uid=record["uid"],
        caption_number=record["caption_number"],
        original=record["original"],
        perturbed=record["perturbed"],
        method=record["method"],
        insertions=insertions,
        label=record.get("label"),
    )
    if record["id"] != caption.id:
        raise ValueError(f"id {record['id']} does not belong to {caption.id}")
    if insertions and caption.restored() != caption.original:
        raise ValueError(f"{caption.id}: without its insertions it is not the original")
    return caption


def _caption(path: Path, number: int, line: bytes) -> PerturbedCaption:
    record = _json_of(path, number, line)
    try:
        return caption_from_json(record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EvaluationError(
            f"{path}, line {number} is no perturbed caption ({error}); write the file anew"
        ) from error


def _json_of(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = parsed_json(line)
    except ValueError as error:
        raise EvaluationError(f"{path}, line {number} is no JSON ({error})") from error
    if not isinstance(record, dict):
        raise EvaluationError(f"{path}, line {number} is no JSON object")
    return record
