"""A data set to evaluate on: where its images are, and all of its labels and captions.

Images stay in their shards and are read by number; labels and captions are small and held in
memory. Opening reads every shard or file once (``eval.data.read_samples``), which also gives the
revision: a digest of the content.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int64, UInt64

from data_pipelines.schema import JsonValue, Question
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import image_of
from data_pipelines.texts import counted
from eval.data.image_folders import PictureFolder

_PROBLEMS_KEPT = 20
#: Problems of a data set that messages name; the rest are counted.
PROBLEMS_SHOWN = 3

#: "images" asks for pictures alone: out-of-distribution sets, banks, backgrounds.
Task = Literal[
    "zero_shot",
    "retrieval",
    "multilabel",
    "vqa",
    "omnibench",
    "video_retrieval",
    "video_order",
    "video_questions",
    "detection",
    "images",
]


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
        pictures: the files of a folder of pictures, which has no shards; else None.
        rows: of the samples that count, for each shard; None where a subset was not asked for.
    """

    name: str
    split: str
    shards: tuple[Path, ...]
    classes: Classes | None
    declared_task: Task | None
    one_per_line: bool
    shift_of: str | None = None
    pictures: PictureFolder | None = None
    rows: tuple[Int64[np.ndarray, " rows"], ...] | None = None

    @property
    def folder(self) -> Path:
        """Where the shards or pictures lie."""
        return self.shards[0].parent if self.pictures is None else self.pictures.root

    def each(self, *endings: str) -> str:
        """What holds more about a sample, for messages: a member of it, or a file beside it."""
        if self.pictures is None:
            return f"{' or '.join(endings)} member"
        return f"file {' or '.join(f'NAME.{ending}' for ending in endings)} beside NAME.jpg"


@runtime_checkable
class StoredImages(Protocol):
    """Samples with an image each, by number; safe to read from several threads."""

    @property
    def same_as(self) -> Int64[np.ndarray, " images"]:
        """For each image the first one with the same bytes (itself where there is none)."""
        ...

    @property
    def image_ids(self) -> UInt64[np.ndarray, " images"]:
        """First 8 bytes of each image's SHA-256: what random draws for it are seeded with."""
        ...

    def __len__(self) -> int: ...

    def read(self, i: int) -> bytes:
        """Encoded bytes of image ``i``."""
        ...

    def members(self, i: int) -> Mapping[str, bytes]:
        """All that is stored of sample ``i``, by suffix: image, json, masks, depth..."""
        ...

    def fingerprint(self) -> bytes:
        """Tells one set of images from another, without reading them."""
        ...


@runtime_checkable
class NamedImages(Protocol):
    """Images that are called something, as those of a data set on disk are."""

    def key(self, i: int) -> str:
        """Name of the file of image ``i``, or its key in the shard."""
        ...


@dataclass(frozen=True, slots=True)
class ShardImages:
    """Encoded images by number, wherever in the shards they lie.

    Args:
        shards: opened shards.
        places: shard number and number within the shard, for each image.
        same_as, image_ids: see ``StoredImages``.
    """

    shards: tuple[ShardIndex, ...]
    places: Int64[np.ndarray, "images 2"]
    same_as: Int64[np.ndarray, " images"]
    image_ids: UInt64[np.ndarray, " images"]

    def __len__(self) -> int:
        return len(self.places)

    def key(self, i: int) -> str:
        """See ``NamedImages``."""
        shard, number = self.places[i].tolist()
        return self.shards[shard].key(number)

    def read(self, i: int) -> bytes:
        """See ``StoredImages``."""
        return image_of(self.members(i)).data

    def members(self, i: int) -> Mapping[str, bytes]:
        """See ``StoredImages``."""
        shard, number = self.places[i].tolist()
        return self.shards[shard].read(number)

    def fingerprint(self) -> bytes:
        """See ``StoredImages``."""
        digest = hashlib.sha256(self.places.tobytes())
        for shard in self.shards:
            digest.update(str(shard.path).encode("utf-8", "surrogateescape"))
            digest.update(shard.layout.content.encode())
        return digest.digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class EvalDataset:
    """Images with labels, captions, or both.

    Args:
        layout: where it lies.
        task: what it is evaluated for unless something else is asked.
        images: the encoded images.
        labels: class index of each image, None unless every image has one.
        captions: captions of each image, at least one each; None unless every image has some.
        attributes: whole numbers in each npy member: whether the image shows each class
            (multilabel), or which groups it belongs to (WILDS, Dollar Street, GeoDE); None
            unless every image has equally many.
        factors: what the json members say under "factors"; None where none says anything.
        revision: SHA-256 over images, labels, captions, class names and all that follows, as
            hexadecimal digits.
        num_skipped: samples left out, by reason.
        problems: damage found in the shards, one line each.
        identities: who or what each image shows, from "identity" of its json; None unless every
            image has one.
        questions: "question" and "answers" of the json members; None unless every image has them.
        annotations: what the task it was opened for reads of its own from each sample; None for
            the tasks without an annotation.
        shared_revision: the revision without those annotations; empty where there are none.
    """

    layout: Layout
    task: Task
    images: StoredImages
    labels: Int64[np.ndarray, " images"] | None
    captions: tuple[tuple[str, ...], ...] | None
    revision: str
    num_skipped: dict[str, int]
    problems: tuple[str, ...]
    attributes: Int64[np.ndarray, "images attributes"] | None = None
    factors: tuple[Mapping[str, JsonValue], ...] | None = None
    identities: tuple[str, ...] | None = None
    questions: tuple[Question, ...] | None = None
    annotations: tuple[JsonValue, ...] | None = None
    shared_revision: str = ""

    def __len__(self) -> int:
        return len(self.images)

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

    @property
    def pictures_revision(self) -> str:
        """What embeddings of its pictures are kept under: the revision that all tasks share."""
        return self.shared_revision or self.revision

    def key(self, i: int) -> str:
        """What image ``i`` is called; empty where nothing says."""
        return self.images.key(i) if isinstance(self.images, NamedImages) else ""

    def left_out(self, num_undecodable: int) -> dict[str, int]:
        """Samples in no score, by reason, counting images that turned out to be broken."""
        broken = {"image cannot be decoded": num_undecodable} if num_undecodable else {}
        return self.num_skipped | broken

    def warnings(self, *, with_classes: bool = True) -> list[str]:
        """What the user should know before trusting a score: damage and samples left out.

        Args:
            with_classes: whether class names are ranked.
        """
        lines = [
            f"{self.title}: {counted(n, 'sample')} left out: {w}"
            for w, n in self.num_skipped.items()
        ]
        classes = self.layout.classes
        if with_classes and self.labels is not None and classes is not None:
            unseen = len(classes.names) - len(np.unique(self.labels))
            if unseen:
                lines.append(
                    f"{self.title}: {unseen:,} of {len(classes.names):,} class names have no "
                    "image; they are ranked all the same"
                )
        shown = [f"{self.title}: {problem}" for problem in self.problems[:PROBLEMS_SHOWN]]
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
