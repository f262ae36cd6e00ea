"""Read every sample of a data set once: labels, captions, content hash, and what is left out."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt64

from data_pipelines.arrays import read_array
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.image_formats import NEEDS_HEIC, has_heic, is_heic
from data_pipelines.schema import JsonValue
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_sample import StoredSample
from eval.data.dataset import (
    PROBLEMS_SHOWN,
    EvalDataset,
    Layout,
    ShardImages,
    StoredImages,
    Task,
)
from eval.data.image_folders import FileImages, PictureFolder
from eval.data.rows import ROWS_FOR, Annotation, NeededRows, SampleRow
from eval.errors import EvaluationError
from eval.process_group import ranks
from eval.progress import Progress

_READERS = 8
_JOB = 64
_MAX_ATTRIBUTES = 4096


def read_dataset(layout: Layout, task: Task | None = None) -> EvalDataset:
    """Open the shards and read labels and captions.

    Samples without an image, or without what the task needs, are left out and counted.

    Args:
        task: what the data set is wanted for; None takes what it is for (``Samples.purpose``).
    Raises:
        ShardError: a shard is missing or no tar.
        EvaluationError: nothing usable, labels without class names, or a label beyond them.
    """
    samples = read_samples(layout)
    wanted = task or samples.purpose
    dataset = samples.taken(ROWS_FOR[wanted], purpose=wanted)
    refuse_unusable(dataset, ROWS_FOR[wanted], wanted)
    return dataset


def read_samples(layout: Layout, annotations: Mapping[str, Annotation] | None = None) -> "Samples":
    """Read every sample once, for any number of tasks.

    Args:
        annotations: what tasks of their own read from each sample, by task.
    Raises:
        ShardError: a shard is missing or no tar.
    """
    source = _Shards(layout) if layout.pictures is None else _Files(layout.pictures)
    samples = Samples(layout, source, annotations or {})
    samples.add_all()
    return samples


@runtime_checkable
class _Source(Protocol):
    """Samples by number."""

    def __len__(self) -> int: ...

    def read(self, i: int) -> tuple[StoredSample, int | None]:
        """A sample and, where its members do not hold it, the label."""
        ...

    def images(self, places: list[int], digests: list[bytes]) -> StoredImages: ...

    @property
    def problems(self) -> tuple[str, ...]: ...


class _Shards:
    def __init__(self, layout: Layout) -> None:
        self._shards = tuple(ShardIndex.open(path) for path in layout.shards)
        self._rows = layout.rows
        self._ends = np.cumsum([len(part) for part in self._rows or self._shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def read(self, i: int) -> tuple[StoredSample, int | None]:
        shard, number = self._place(i)
        index = self._shards[shard]
        return StoredSample(index.key(number), index.read(number)), None

    def images(self, places: list[int], digests: list[bytes]) -> StoredImages:
        pairs = np.array([self._place(i) for i in places], dtype=np.int64).reshape(-1, 2)
        return ShardImages(self._shards, pairs, first_of_equals(digests), ids_of(digests))

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(f"{s.path.name}: {problem}" for s in self._shards for problem in s.problems)

    def _place(self, i: int) -> tuple[int, int]:
        shard = int(np.searchsorted(self._ends, i, side="right"))
        number = i - (int(self._ends[shard - 1]) if shard else 0)
        return shard, number if self._rows is None else int(self._rows[shard][number])


class _Files:
    def __init__(self, folder: PictureFolder) -> None:
        self._folder = folder
        self._unreadable: list[str] = []

    def __len__(self) -> int:
        return len(self._folder)

    def read(self, i: int) -> tuple[StoredSample, int | None]:
        key = self._folder.files[i]
        try:
            return StoredSample(key, self._folder.read(i)), int(self._folder.labels[i])
        except OSError as error:
            self._unreadable.append(f"{self._folder.path(i)}: {error.strerror or error}")
            return StoredSample(key, {}), None

    def images(self, places: list[int], digests: list[bytes]) -> StoredImages:
        numbers = np.array(places, dtype=np.int64)
        return FileImages(self._folder, numbers, first_of_equals(digests), ids_of(digests))

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(sorted(self._unreadable))


class Samples:
    """All samples of a data set with a picture; each task takes its own of them.

    Args:
        layout: where they lie.
        source: reads them.
        annotations: what tasks of their own read from each sample, by task.
    """

    def __init__(
        self, layout: Layout, source: _Source, annotations: Mapping[str, Annotation]
    ) -> None:
        self._layout = layout
        self._source = source
        self._annotations = annotations
        self._rows: list[SampleRow] = []
        self._skipped: Counter[str] = Counter()
        self._taken: dict[bytes, EvalDataset] = {}

    @property
    def purpose(self) -> Task:
        """What the data set is for: what its folder declares, else "zero_shot" where samples have
        labels, "vqa" where they have questions and none has a caption, else "retrieval"."""
        if self._layout.declared_task is not None:
            return self._layout.declared_task
        if any(row.label is not None for row in self._rows):
            return "zero_shot"
        only_asks = any(r.question for r in self._rows) and not any(r.captions for r in self._rows)
        return "vqa" if only_asks else "retrieval"

    def add_all(self) -> None:
        """In order, some samples ahead in threads: hashing and reading release the lock."""
        what, source = f"reading {self._layout.name}", self._source
        progress = Progress(what, total=len(source), unit="samples") if not ranks().rank else None

        def read(span: range) -> list[SampleRow | str]:
            return [self._row(i) for i in span]

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

    def taken(
        self, needed: NeededRows, *, purpose: Task | None = None, annotation: str = ""
    ) -> EvalDataset:
        """The samples that have what is needed; equal choices are one and the same data set.

        Args:
            purpose: what it is called to be for; None takes ``purpose``.
            annotation: the task whose annotation each sample must have.
        """
        kept = [row for row in self._rows if needed.holds(row)]
        skipped = self._skipped.copy()
        if len(kept) < len(self._rows):
            skipped[needed.missing] += len(self._rows) - len(kept)
        if annotation:
            annotated = [row for row in kept if row.annotations[annotation] is not None]
            if len(annotated) < len(kept):
                skipped[self._annotations[annotation].missing] += len(kept) - len(annotated)
            kept = annotated
        task = purpose or self.purpose
        key = hashlib.sha256(np.array([row.place for row in kept], dtype=np.int64).tobytes())
        key.update(json.dumps([task, annotation, dict(skipped)]).encode())
        if key.digest() not in self._taken:
            self._taken[key.digest()] = self._dataset(kept, task, dict(skipped), annotation)
        return self._taken[key.digest()]

    def _dataset(
        self, kept: list[SampleRow], task: Task, skipped: dict[str, int], annotation: str
    ) -> EvalDataset:
        labelled = bool(kept) and all(row.label is not None for row in kept)
        captioned = bool(kept) and all(row.captions for row in kept)
        lengths = {len(row.attributes) for row in kept}
        identities = tuple(row.identity for row in kept if row.identity is not None)
        questions = tuple(row.question for row in kept if row.question is not None)
        revision, annotations = _revision(kept, self._layout), None
        if annotation:
            annotations = tuple(row.annotations[annotation] for row in kept)
        return EvalDataset(
            layout=self._layout,
            task=task,
            images=self._source.images([row.place for row in kept], [row.digest for row in kept]),
            labels=np.array([row.label for row in kept], dtype=np.int64) if labelled else None,
            captions=tuple(row.captions for row in kept) if captioned else None,
            attributes=np.array([row.attributes for row in kept], dtype=np.int64)
            if len(lengths) == 1 and lengths != {0}
            else None,
            factors=tuple(row.factors for row in kept) if any(r.factors for r in kept) else None,
            identities=identities if kept and len(identities) == len(kept) else None,
            questions=questions if kept and len(questions) == len(kept) else None,
            revision=_annotated(revision, annotations),
            num_skipped=skipped,
            problems=self._source.problems,
            annotations=annotations,
            shared_revision="" if annotations is None else revision,
        )

    def _row(self, place: int) -> SampleRow | str:
        """What is kept of a sample, or why nothing is."""
        sample, label = self._source.read(place)
        try:
            captions = sample.plain_captions(one_per_line=self._layout.one_per_line)
            label = sample.label if label is None else label
            has_identity = b'"identity"' in (sample.member("json") or b"")
            identity = sample.identity if has_identity else None
            factors, question = sample.factors, sample.question
        except DataError:
            return "unreadable caption or label"
        try:
            image = sample.image.data
        except BadSampleError as error:
            return error.kind
        if is_heic(image) and not has_heic():
            return NEEDS_HEIC
        return SampleRow(
            place,
            hashlib.sha256(image).digest(),
            label,
            captions,
            _attributes(sample.member("npy") or b""),
            factors,
            identity,
            question,
            {name: _annotation(sample, own) for name, own in self._annotations.items()},
        )


def _annotation(sample: StoredSample, annotation: Annotation) -> JsonValue:
    try:
        return annotation.read(sample)
    except DataError:
        return None


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


def _revision(rows: list[SampleRow], layout: Layout) -> str:
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


def _annotated(revision: str, annotations: tuple[JsonValue, ...] | None) -> str:
    if annotations is None:
        return revision
    digest = hashlib.sha256(revision.encode())
    _update(digest, json.dumps(annotations, sort_keys=True).encode())
    return digest.hexdigest()


def _update(digest, part: bytes) -> None:
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)


def refuse_unusable(dataset: EvalDataset, needed: NeededRows, wanted: str) -> None:
    """Raise where a data set cannot be used for what it was opened for.

    Args:
        needed: what its samples were chosen by.
        wanted: what for, for the message.
    Raises:
        EvaluationError: no sample, or a problem that ``needed`` sees.
    """
    where = f"{dataset.title} at {dataset.layout.folder.absolute()}"
    if not len(dataset):
        reasons = [f"{n} with {why}" for why, n in dataset.num_skipped.items()]
        skipped = ", ".join([*reasons, *dataset.problems[:PROBLEMS_SHOWN]])
        is_folder = dataset.layout.pictures is not None
        fix = needed.beside if is_folder else f"each sample needs {needed.members} members"
        what = "picture" if is_folder else "sample"
        raise EvaluationError(
            f"no usable {what} for {wanted} in {where} (left out: {skipped or 'none'}); {fix}"
        )
    if (problem := needed.problem(dataset, where)) is not None:
        raise EvaluationError(problem)
