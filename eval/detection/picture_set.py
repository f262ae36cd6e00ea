"""Pictures with marked regions as a data set of the evaluation contract.

PATH is what ``data_pipelines.detection.detection_set`` takes: shards with ``categories.json``, a
COCO or LVIS JSON, or a folder with one; JSON@PICTURES names the folder or tar of the pictures.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt64

from data_pipelines.detection.annotations import Annotations
from data_pipelines.detection.detection_set import (
    DetectionSet,
    ShardedDetectionSet,
    open_detection_set,
)
from data_pipelines.detection.vocabulary import VOCABULARY_NAME, Vocabulary
from data_pipelines.errors import BadSampleError
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.manifest import MANIFEST_NAME
from data_pipelines.skips import Skips
from data_pipelines.texts import counted
from eval.data.dataset import EvalDataset, Layout
from eval.data.sample_subset import chosen_rows_of, name_with
from eval.data.set_kinds import set_kinds
from eval.errors import EvaluationError

#: Names that files of this form are distributed under.
_STARTS = ("instances_", "instances.", "lvis_", "_annotations.coco")
#: Reasons of a reader that concern a picture; all others concern annotations.
_OF_PICTURES = ("missing picture", "picture listed twice", "picture without id, width or height")


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """Pictures by number with what is marked in them; satisfies ``StoredImages``.

    Args:
        source: where they lie.
        numbers: of each picture in the source.
        keys: what each picture is called.
        digests: SHA-256 of each encoded picture.
        annotations: of each picture, labels in rows of the source's vocabulary.
    """

    source: DetectionSet
    numbers: tuple[int, ...]
    keys: tuple[str, ...]
    digests: tuple[bytes, ...]
    annotations: tuple[Annotations, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def vocabulary(self) -> Vocabulary:
        """Of the source."""
        return self.source.vocabulary

    def key(self, i: int) -> str:
        """See ``NamedImages``."""
        return self.keys[i]

    def read(self, i: int) -> bytes:
        """See ``StoredImages``."""
        return self.source.sample(self.numbers[i]).image.data

    def members(self, i: int) -> Mapping[str, bytes]:
        """The picture alone."""
        image = self.source.sample(self.numbers[i]).image
        return {image.suffix: image.data}

    @cached_property
    def same_as(self) -> Int64[np.ndarray, " images"]:
        """See ``StoredImages``."""
        first: dict[bytes, int] = {}
        places = [first.setdefault(digest, i) for i, digest in enumerate(self.digests)]
        return np.array(places, dtype=np.int64)

    @cached_property
    def image_ids(self) -> UInt64[np.ndarray, " images"]:
        """See ``StoredImages``."""
        firsts = [int.from_bytes(digest[:8], "big") for digest in self.digests]
        return np.array(firsts, dtype=np.uint64)

    def fingerprint(self) -> bytes:
        """Of the pictures and their sizes, without what is marked in them."""
        digest = hashlib.sha256()
        for one, annotations in zip(self.digests, self.annotations, strict=True):
            digest.update(one + repr(annotations.size).encode())
        return digest.digest()

    @cached_property
    def revision(self) -> str:
        """Of pictures, regions and vocabulary."""
        digest = hashlib.sha256(self.fingerprint() + self.vocabulary.digest.encode())
        for one in self.annotations:
            for array in (one.boxes, one.labels, one.is_crowd, one.areas):
                digest.update(array.tobytes())
            told = [one.masks and _plain(one.masks), one.not_exhaustive, one.negatives]
            digest.update(repr(told).encode())
        return digest.hexdigest()


def _plain(masks: tuple) -> list:
    """Masks as texts that name every number."""
    plain = (tuple(p.tolist() for p in m) if isinstance(m, tuple) and not hasattr(m, "counts")
             else m for m in masks)  # fmt: skip
    return list(plain)


@set_kinds.register("detection")
class DetectionPictures:
    """Pictures with marked regions; see ``SetKind``."""

    @staticmethod
    def recognises(path: str) -> bool:
        """Whether it holds shards with a vocabulary, or a JSON of a usual name."""
        place = Path(_split(path)[0])
        if place.is_dir():
            return (place / VOCABULARY_NAME).is_file() or any(
                _is_usual(one.name) for one in place.glob("*.json")
            )
        return place.is_file() and _is_usual(place.name)

    @staticmethod
    def open(path: str) -> EvalDataset:
        """The data set behind PATH or JSON@PICTURES.

        Raises:
            DataError: it cannot be read.
            EvaluationError: no picture of it can be.
        """
        place, pictures = _split(path)
        skips = Skips()
        source = open_detection_set(
            Path(place), skips=skips, images=Path(pictures) if pictures else None
        )
        return _dataset(Path(place), source, skips)

    @staticmethod
    def open_chosen(path: str, subset: Path) -> EvalDataset:
        """The chosen pictures of shards; see ``OfChosenSamples``.

        Raises:
            DataError: it cannot be read, or the subset was made for other shards.
            EvaluationError: PATH is an annotation JSON, which has no shards.
        """
        place, skips = Path(path), Skips()
        source = open_detection_set(Path(_split(path)[0]), skips=skips)
        if not isinstance(source, ShardedDetectionSet):
            raise EvaluationError(
                f"{path} is an annotation file, and --subset chooses samples of shards; leave it "
                "out"
            )
        shards = find_shards([place])
        rows = chosen_rows_of(shards, subset)
        lengths = [len(ShardIndex.open(shard)) for shard in shards]
        starts = np.cumsum(lengths) - lengths
        chosen = np.concatenate([own + start for own, start in zip(rows, starts, strict=True)])
        return _dataset(place, source, skips, chosen=chosen.tolist(), subset=subset)


def pictures_of(dataset: EvalDataset) -> PictureSet | None:
    """The pictures of a data set; None where it is of another kind."""
    return dataset.images if isinstance(dataset.images, PictureSet) else None


def _is_usual(name: str) -> bool:
    return name.startswith(_STARTS) and name.endswith(".json")


def _split(path: str) -> tuple[str, str]:
    """JSON@PICTURES in two; a path that is there as it is written stays whole."""
    before, at, after = path.rpartition("@")
    return (path, "") if not at or Path(path).exists() else (before, after)


def _dataset(
    place: Path,
    source: DetectionSet,
    skips: Skips,
    *,
    chosen: Sequence[int] | None = None,
    subset: Path | None = None,
) -> EvalDataset:
    """Of all pictures of a source, or of those that a subset has chosen."""
    told = Counter(skips.counts)
    broken: Counter[str] = Counter()
    numbers, keys, digests, annotations = [], [], [], []
    for number in range(len(source)) if chosen is None else chosen:
        try:
            sample = source.sample(number)
        except BadSampleError as error:
            broken[error.kind] += 1
            continue
        numbers.append(number)
        keys.append(sample.uid)
        digests.append(hashlib.sha256(sample.image.data).digest())
        annotations.append(sample.annotations)
    left_out = {reason: count for reason, count in told.items() if reason in _OF_PICTURES} | broken
    if not numbers:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        raise EvaluationError(f"no picture of {place} can be read ({reasons or 'it lists none'})")
    found = PictureSet(
        source=source,
        numbers=tuple(numbers),
        keys=tuple(keys),
        digests=tuple(digests),
        annotations=tuple(annotations),
    )
    name, split = _name(place)
    return EvalDataset(
        layout=Layout(
            name=name if subset is None else name_with(name, subset),
            split=split,
            shards=(place,),
            classes=None,
            declared_task="detection",
            one_per_line=False,
        ),
        task="detection",
        images=found,  # pyright: ignore[reportArgumentType]  (cached properties are properties)
        labels=None,
        captions=None,
        revision=found.revision,
        num_skipped=dict(left_out),
        problems=source.problems + _problems(skips),
    )


def _problems(skips: Skips) -> tuple[str, ...]:
    """Annotations that are in no figure: one line a reason, with an example."""
    return tuple(
        f"{counted(count, 'annotation')}: {reason} (such as {skips.examples[reason][0]})"
        for reason, count in skips.counts.items()
        if reason not in _OF_PICTURES
    )


def _name(place: Path) -> tuple[str, str]:
    """Of the set and its split: a folder inside a collection of ours is a split of that."""
    place = place.resolve()
    if place.is_dir() and (place.parent / MANIFEST_NAME).is_file():
        return place.parent.name, place.name
    return place.stem if place.is_file() else place.name, "all"
