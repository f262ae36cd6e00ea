"""Read every sample of a data set once: labels, captions, content hash, and what is left out."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt64

from data_pipelines.arrays import read_array
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, fields_of, identity_of, image_of, label_of
from eval.data.dataset import (
    PROBLEMS_SHOWN,
    Classes,
    EvalDataset,
    Layout,
    Question,
    ShardImages,
    StoredImages,
    Task,
)
from eval.data.image_folders import FileImages, PictureFolder
from eval.errors import EvaluationError
from eval.process_group import ranks
from eval.progress import Progress

_NEEDS: dict[str, str] = {
    "zero_shot": "an image and cls",
    "retrieval": "an image and txt or json",
    "multilabel": "an image and npy",
    "vqa": "an image and json with question and answers",
    "images": "an image",
}
_READERS = 8
_JOB = 64
_MAX_ATTRIBUTES = 4096


def read_dataset(layout: Layout, task: Task | None = None) -> EvalDataset:
    """Open the shards and read labels and captions.

    Samples without an image, or without what the task needs, are left out and counted.

    Args:
        task: what the data set is wanted for; None takes what the folder declares, else
            "zero_shot" where samples have labels, "vqa" where they have questions and none has
            a caption, else "retrieval".
    Raises:
        ShardError: a shard is missing or no tar.
        EvaluationError: nothing usable, labels without class names, or a label beyond them.
    """
    source = _Shards(layout) if layout.pictures is None else _Files(layout.pictures)
    scan = _Scan(layout)
    scan.add_all(source)
    wanted = task or layout.declared_task or scan.likely_task
    dataset = scan.finish(wanted, source)
    _check(dataset)
    return dataset


class _Row(NamedTuple):
    place: int
    digest: bytes
    label: int | None
    captions: tuple[str, ...]
    attributes: tuple[int, ...]
    factors: Mapping[str, JsonValue]
    identity: str | None
    question: Question | None


@runtime_checkable
class _Source(Protocol):
    """Samples by number."""

    def __len__(self) -> int: ...

    def read(self, i: int) -> tuple[Mapping[str, bytes], int | None]:
        """Members and, where they do not hold it, the label."""
        ...

    def images(self, places: list[int], digests: list[bytes]) -> StoredImages: ...

    @property
    def problems(self) -> tuple[str, ...]: ...


class _Shards:
    def __init__(self, layout: Layout) -> None:
        self._shards = tuple(ShardIndex.open(path) for path in layout.shards)
        self._ends = np.cumsum([len(shard) for shard in self._shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, i: int) -> tuple[Mapping[str, bytes], int | None]:
        shard, number = self._place(i)
        return self._shards[shard].read(number), None

    def images(self, places: list[int], digests: list[bytes]) -> StoredImages:
        pairs = np.array([self._place(i) for i in places], dtype=np.int64).reshape(-1, 2)
        return ShardImages(self._shards, pairs, first_of_equals(digests), ids_of(digests))

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(f"{s.path.name}: {problem}" for s in self._shards for problem in s.problems)

    def _place(self, i: int) -> tuple[int, int]:
        shard = int(np.searchsorted(self._ends, i, side="right"))
        return shard, i - (int(self._ends[shard - 1]) if shard else 0)


class _Files:
    def __init__(self, folder: PictureFolder) -> None:
        self._folder = folder
        self._unreadable: list[str] = []

    def __len__(self) -> int:
        return len(self._folder)

    def read(self, i: int) -> tuple[Mapping[str, bytes], int | None]:
        try:
            return self._folder.read(i), int(self._folder.labels[i])
        except OSError as error:
            self._unreadable.append(f"{self._folder.path(i)}: {error.strerror or error}")
            return {}, None

    def images(self, places: list[int], digests: list[bytes]) -> StoredImages:
        numbers = np.array(places, dtype=np.int64)
        return FileImages(self._folder, numbers, first_of_equals(digests), ids_of(digests))

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(sorted(self._unreadable))


class _Scan:
    """Collects what is kept of each sample while all of them are read."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._rows: list[_Row] = []
        self._skipped: Counter[str] = Counter()

    @property
    def likely_task(self) -> Task:
        if any(row.label is not None for row in self._rows):
            return "zero_shot"
        only_asks = any(r.question for r in self._rows) and not any(r.captions for r in self._rows)
        return "vqa" if only_asks else "retrieval"

    def add_all(self, source: _Source) -> None:
        """In order, some samples ahead in threads: hashing and reading release the lock."""
        what = f"reading {self._layout.name}"
        progress = Progress(what, total=len(source), unit="samples") if not ranks().rank else None

        def read(span: range) -> list[_Row | str]:
            one_per_line = self._layout.one_per_line
            return [_row(i, *source.read(i), one_per_line=one_per_line) for i in span]

        jobs = [range(i, min(i + _JOB, len(source))) for i in range(0, len(source), _JOB)]
        with ThreadPoolExecutor(_READERS, thread_name_prefix="open") as pool:
            for rows in pool.map(read, jobs):
                for row in rows:
                    if isinstance(row, str):
                        self._skipped[row] += 1
                    else:
                        self._rows.append(row)
                if progress:
                    progress.add(len(rows))
        if progress:
            progress.close()

    def finish(self, task: Task, source: _Source) -> EvalDataset:
        kept = [row for row in self._rows if self._has_what_it_needs(row, task)]
        missing = {"retrieval": "no caption", "vqa": "no question with answers"}.get(
            task, "no class label"
        )
        if len(kept) < len(self._rows):
            self._skipped[missing] += len(self._rows) - len(kept)
        labelled = bool(kept) and all(row.label is not None for row in kept)
        captioned = bool(kept) and all(row.captions for row in kept)
        lengths = {len(row.attributes) for row in kept}
        identities = tuple(row.identity for row in kept if row.identity is not None)
        questions = tuple(row.question for row in kept if row.question is not None)
        return EvalDataset(
            layout=self._layout,
            task=task,
            images=source.images([row.place for row in kept], [row.digest for row in kept]),
            labels=np.array([row.label for row in kept], dtype=np.int64) if labelled else None,
            captions=tuple(row.captions for row in kept) if captioned else None,
            attributes=np.array([row.attributes for row in kept], dtype=np.int64)
            if len(lengths) == 1 and lengths != {0}
            else None,
            factors=tuple(row.factors for row in kept) if any(r.factors for r in kept) else None,
            identities=identities if kept and len(identities) == len(kept) else None,
            questions=questions if kept and len(questions) == len(kept) else None,
            revision=_revision(kept, self._layout),
            num_skipped=dict(self._skipped),
            problems=source.problems,
        )

    def _has_what_it_needs(self, row: _Row, task: Task) -> bool:
        needed: dict[str, bool] = {
            "zero_shot": row.label is not None,
            "retrieval": bool(row.captions),
            "multilabel": bool(row.attributes),
            "vqa": row.question is not None,
        }
        return needed.get(task, True)


def _row(
    place: int, members: Mapping[str, bytes], label: int | None, *, one_per_line: bool
) -> _Row | str:
    """What is kept of a sample, or why nothing is."""
    try:
        captions = captions_of(members, one_per_line=one_per_line)
        label = label_of(members) if label is None else label
        has_factors = b'"factors"' in members.get("json", b"")
        factors = fields_of(members).get("factors") if has_factors else None
        identity = identity_of(members) if b'"identity"' in members.get("json", b"") else None
        question = _question(members)
    except DataError:
        return "unreadable caption or label"
    try:
        image = image_of(members).data
    except DataError:
        return "no image"
    return _Row(
        place,
        hashlib.sha256(image).digest(),
        label,
        captions,
        _attributes(members.get("npy", b"")),
        factors if isinstance(factors, dict) else {},
        identity,
        question,
    )


def _question(members: Mapping[str, bytes]) -> Question | None:
    """ "question" and "answers" of the json: texts, or objects with "answer" as VQA has them."""
    if b'"question"' not in members.get("json", b""):
        return None
    fields = fields_of(members)
    text, listed = fields.get("question"), fields.get("answers")
    answers = [a.get("answer") if isinstance(a, dict) else a for a in _as_list(listed)]
    usable = tuple(a for a in answers if isinstance(a, str) and a.strip())
    return Question(text, usable) if isinstance(text, str) and text.strip() and usable else None


def _as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def _attributes(data: bytes) -> tuple[int, ...]:
    """The whole numbers of an npy member; none where it holds something else."""
    if not data:
        return ()
    try:
        array = read_array(data, "npy")
    except DataError:
        return ()
    is_whole = array.dtype.kind in "biu" or (
        array.dtype.kind == "f" and bool((array == np.floor(array)).all())
    )
    if array.ndim != 1 or array.size > _MAX_ATTRIBUTES or not is_whole:
        return ()
    return tuple(array.astype(np.int64).tolist())


def first_of_equals(digests: Sequence[bytes]) -> Int64[np.ndarray, " images"]:
    """For each digest the number of the first equal one."""
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(d, i) for i, d in enumerate(digests)], dtype=np.int64)


def ids_of(digests: Sequence[bytes]) -> UInt64[np.ndarray, " images"]:
    """First 8 bytes of each digest as a number."""
    return np.array([int.from_bytes(d[:8], "big") for d in digests], dtype=np.uint64)


def _revision(rows: list[_Row], layout: Layout) -> str:
    digest = hashlib.sha256()
    for name in layout.classes.names if layout.classes else ():
        _update(digest, name.encode())
    if layout.pictures is not None and layout.pictures.border:
        _update(digest, f"border {layout.pictures.border}".encode())
    for row in rows:
        digest.update(row.digest)
        _update(digest, str(row.label).encode())
        _update(digest, len(row.captions).to_bytes(8, "little"))
        for caption in row.captions:
            _update(digest, caption.encode())
        if row.attributes or row.factors:
            _update(digest, json.dumps([row.attributes, row.factors], sort_keys=True).encode())
        if row.identity is not None or row.question is not None:
            _update(digest, json.dumps([row.identity, row.question]).encode())
    return digest.hexdigest()


def _update(digest, part: bytes) -> None:
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)


def _check(dataset: EvalDataset) -> None:
    where = f"{dataset.title} at {dataset.layout.folder}"
    if not len(dataset):
        reasons = [f"{n} with {why}" for why, n in dataset.num_skipped.items()]
        skipped = ", ".join([*reasons, *dataset.problems[:PROBLEMS_SHOWN]])
        needs = _NEEDS[dataset.task]
        raise EvaluationError(
            f"no usable sample for {dataset.task} in {where} (left out: {skipped or 'none'}); "
            f"each sample needs {needs} members"
        )
    if dataset.task not in ("zero_shot", "multilabel"):
        return
    classes = dataset.layout.classes
    if classes is None:
        raise EvaluationError(
            f"{where} has class labels but no class names; give them with --class-names FILE, "
            "one name a line, or use --task retrieval"
        )
    if dataset.task == "multilabel":
        _check_multilabel(dataset.attributes, classes, where)
        return
    assert dataset.labels is not None
    if (largest := int(dataset.labels.max())) >= len(classes.names):
        raise EvaluationError(
            f"label {largest} in {where} but only {len(classes.names)} class names "
            f"(labels count from 0); the list needs at least {largest + 1} lines"
        )


def _check_multilabel(attributes: np.ndarray | None, classes: Classes, where: str) -> None:
    num_classes = len(classes.names)
    if attributes is None:
        raise EvaluationError(
            f"the npy members in {where} differ in length; each needs {num_classes} numbers 0 or 1"
        )
    if attributes.shape[1] != num_classes or not np.isin(attributes, (0, 1)).all():
        raise EvaluationError(
            f"npy members of {attributes.shape[1]} numbers from {attributes.min()} to "
            f"{attributes.max()} in {where}; each needs a 0 or 1 for each of the {num_classes} "
            "class names"
        )
