"""A data set to evaluate on: where its images are, and all of its labels and captions.

Images stay in their shards and are read by number; labels and captions are small and held in
memory. Opening reads every shard once, which also gives the revision: a digest of the content.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int64

from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, image_of, label_of
from eval.errors import EvaluationError

_PROBLEMS_KEPT = 20
_PROBLEMS_SHOWN = 3

Task = Literal["zero_shot", "retrieval"]


class Classes(NamedTuple):
    """Line i of the class list names label i; templates hold ``{c}`` where the name goes."""

    names: tuple[str, ...]
    templates: tuple[str, ...] | None


class Layout(NamedTuple):
    """Where a data set lies and what its folder says about it, before any shard is read.

    Attributes:
        name: what results call it.
        split: "all" for plain shards.
        shards: the tars, in order.
        classes: class names and templates, None where there are none.
        declared_task: what the folder says it is for, None where it says nothing.
        one_per_line: whether each line of txt is a caption.
        shift_of: name of the data set (or split of this one) that this is a shifted form of.
    """

    name: str
    split: str
    shards: tuple[Path, ...]
    classes: Classes | None
    declared_task: Task | None
    one_per_line: bool
    shift_of: str | None = None


@dataclass(frozen=True, slots=True)
class ShardImages:
    """Encoded images by number, wherever in the shards they lie.

    Args:
        shards: opened shards.
        places: shard number and number within the shard, for each image.
        same_as: for each image the first one with the same bytes (itself where there is none).
    """

    shards: tuple[ShardIndex, ...]
    places: Int64[np.ndarray, "images 2"]
    same_as: Int64[np.ndarray, " images"]

    def read(self, i: int) -> bytes:
        """Encoded bytes of image ``i``; safe to call from several threads."""
        shard, number = self.places[i].tolist()
        return image_of(self.shards[shard].read(number)).data


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalDataset:
    """Images with labels, captions, or both.

    Args:
        layout: where it lies.
        task: what it is evaluated for unless something else is asked.
        images: the encoded images.
        labels: class index of each image, None unless every image has one.
        captions: captions of each image, at least one each; None unless every image has some.
        revision: SHA-256 over images, labels, captions and class names, as hexadecimal digits.
        num_skipped: samples left out, by reason.
        problems: damage found in the shards, one line each.
    """

    layout: Layout
    task: Task
    images: ShardImages
    labels: Int64[np.ndarray, " images"] | None
    captions: tuple[tuple[str, ...], ...] | None
    revision: str
    num_skipped: dict[str, int]
    problems: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images.places)

    @property
    def name(self) -> str:
        """What results call it."""
        return self.layout.name

    @property
    def split(self) -> str:
        """Its split, "all" for plain shards."""
        return self.layout.split

    @property
    def title(self) -> str:
        """Name and split for messages."""
        return f"{self.name} ({self.split})"

    def left_out(self, num_undecodable: int) -> dict[str, int]:
        """Samples in no score, by reason, counting images that turned out to be broken."""
        broken = {"image cannot be decoded": num_undecodable} if num_undecodable else {}
        return self.num_skipped | broken

    def warnings(self) -> list[str]:
        """What the user should know before trusting a score: damage and samples left out."""
        lines = [f"{self.title}: {n:,} samples left out: {w}" for w, n in self.num_skipped.items()]
        shown = [f"{self.title}: {problem}" for problem in self.problems[:_PROBLEMS_SHOWN]]
        if len(self.problems) > len(shown):
            shown.append(f"{self.title}: {len(self.problems) - len(shown):,} more such problems")
        return lines + shown

    def remarks(self, left_out: dict[str, int]) -> dict[str, JsonValue]:
        """What a result should say about its data besides counts."""
        return {
            "left_out": dict(left_out),
            "problems": list(self.problems[:_PROBLEMS_KEPT]),
            "num_problems": len(self.problems),
            "shift_of": self.layout.shift_of,
        }


def read_dataset(layout: Layout, task: Task | None = None) -> EvalDataset:
    """Open the shards and read labels and captions.

    Samples without an image, or without what the task needs, are left out and counted.

    Args:
        task: what the data set is wanted for; None takes what the folder declares, else
            "zero_shot" where samples have labels, else "retrieval".
    Raises:
        ShardError: a shard is missing or no tar.
        EvaluationError: nothing usable, labels without class names, or a label beyond them.
    """
    shards = tuple(ShardIndex.open(path) for path in layout.shards)
    scan = _Scan(layout)
    for shard_number, shard in enumerate(shards):
        for number in range(len(shard)):
            scan.add(shard.read(number), place=(shard_number, number))
    wanted = task or layout.declared_task or ("zero_shot" if scan.any_label else "retrieval")
    dataset = scan.finish(wanted, shards)
    _check(dataset)
    return dataset


class _Row(NamedTuple):
    place: tuple[int, int]
    digest: bytes
    label: int | None
    captions: tuple[str, ...]


class _Scan:
    """Collects what is kept of each sample while the shards are read."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._rows: list[_Row] = []
        self._skipped: Counter[str] = Counter()

    @property
    def any_label(self) -> bool:
        return any(row.label is not None for row in self._rows)

    def add(self, members: dict[str, bytes], *, place: tuple[int, int]) -> None:
        try:
            captions = captions_of(members, one_per_line=self._layout.one_per_line)
            label = label_of(members)
        except DataError:
            self._skipped["unreadable caption or label"] += 1
            return
        try:
            image = image_of(members).data
        except DataError:
            self._skipped["no image"] += 1
            return
        self._rows.append(_Row(place, hashlib.sha256(image).digest(), label, captions))

    def finish(self, task: Task, shards: tuple[ShardIndex, ...]) -> EvalDataset:
        kept = [row for row in self._rows if self._has_what_it_needs(row, task)]
        missing = "no class label" if task == "zero_shot" else "no caption"
        if len(kept) < len(self._rows):
            self._skipped[missing] += len(self._rows) - len(kept)
        labelled = bool(kept) and all(row.label is not None for row in kept)
        captioned = bool(kept) and all(row.captions for row in kept)
        return EvalDataset(
            layout=self._layout,
            task=task,
            images=ShardImages(
                shards,
                np.array([row.place for row in kept], dtype=np.int64).reshape(-1, 2),
                _first_of_equals([row.digest for row in kept]),
            ),
            labels=np.array([row.label for row in kept], dtype=np.int64) if labelled else None,
            captions=tuple(row.captions for row in kept) if captioned else None,
            revision=_revision(kept, self._layout.classes),
            num_skipped=dict(self._skipped),
            problems=tuple(
                f"{shard.path.name}: {problem}" for shard in shards for problem in shard.problems
            ),
        )

    def _has_what_it_needs(self, row: _Row, task: Task) -> bool:
        return row.label is not None if task == "zero_shot" else bool(row.captions)


def _first_of_equals(digests: list[bytes]) -> Int64[np.ndarray, " images"]:
    first: dict[bytes, int] = {}
    return np.array([first.setdefault(d, i) for i, d in enumerate(digests)], dtype=np.int64)


def _revision(rows: list[_Row], classes: Classes | None) -> str:
    digest = hashlib.sha256()
    for name in classes.names if classes else ():
        _update(digest, name.encode())
    for row in rows:
        digest.update(row.digest)
        _update(digest, str(row.label).encode())
        _update(digest, len(row.captions).to_bytes(8, "little"))
        for caption in row.captions:
            _update(digest, caption.encode())
    return digest.hexdigest()


def _update(digest, part: bytes) -> None:
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)


def _check(dataset: EvalDataset) -> None:
    where = f"{dataset.title} at {dataset.layout.shards[0].parent}"
    if not len(dataset):
        reasons = [f"{n} with {why}" for why, n in dataset.num_skipped.items()]
        skipped = ", ".join([*reasons, *dataset.problems[:_PROBLEMS_SHOWN]])
        needs = "an image and cls" if dataset.task == "zero_shot" else "an image and txt or json"
        raise EvaluationError(
            f"no usable sample for {dataset.task} in {where} (left out: {skipped or 'none'}); "
            f"each sample needs {needs} members"
        )
    if dataset.task != "zero_shot":
        return
    classes = dataset.layout.classes
    if classes is None:
        raise EvaluationError(
            f"{where} has class labels but no class names; give them with --class-names FILE, "
            "one name a line, or use --task retrieval"
        )
    assert dataset.labels is not None
    if (largest := int(dataset.labels.max())) >= len(classes.names):
        raise EvaluationError(
            f"label {largest} in {where} but only {len(classes.names)} class names "
            f"(labels count from 0); the list needs at least {largest + 1} lines"
        )
