"""A seeded choice of images, for tasks too dear to run on all of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from jaxtyping import Int64, UInt64

from eval.data.dataset import EvalDataset, NamedImages, StoredImages
from eval.data.read_samples import first_of_equals

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ChosenImages:
    """Some images of a larger set, numbered anew.

    Args:
        whole: the larger set.
        rows: numbers of the chosen ones in it, ascending.
        same_as, image_ids: see ``StoredImages``.
    """

    whole: StoredImages
    rows: Int64[np.ndarray, " images"]
    same_as: Int64[np.ndarray, " images"]
    image_ids: UInt64[np.ndarray, " images"]

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, i: int) -> str:
        """See ``NamedImages``; empty where the larger set has no names."""
        return self.whole.key(int(self.rows[i])) if isinstance(self.whole, NamedImages) else ""

    def read(self, i: int) -> bytes:
        """See ``StoredImages``."""
        return self.whole.read(int(self.rows[i]))

    def members(self, i: int) -> Mapping[str, bytes]:
        """See ``StoredImages``."""
        return self.whole.members(int(self.rows[i]))

    def fingerprint(self) -> bytes:
        """See ``StoredImages``."""
        return hashlib.sha256(self.whole.fingerprint() + self.rows.tobytes()).digest()


def chosen_rows(
    dataset: EvalDataset, max_images: int, *, seed: int
) -> Int64[np.ndarray, " images"]:
    """Numbers of the chosen images, ascending; all where ``max_images`` is 0 or beyond them.

    Images are ranked by the SHA-256 of seed and image id: the choice depends on the pictures
    alone, not on their order, and a smaller choice is part of every larger one.
    """
    if not 0 < max_images < len(dataset):
        return np.arange(len(dataset), dtype=np.int64)
    ids = dataset.images.image_ids.tolist()
    ranks = [hashlib.sha256(f"{seed}:{image_id}".encode()).digest() for image_id in ids]
    order = sorted(range(len(ids)), key=lambda row: (ranks[row], row))
    return np.sort(np.array(order[:max_images], dtype=np.int64))


def chosen_images(dataset: EvalDataset, max_images: int, *, seed: int) -> EvalDataset:
    """The data set with the images of ``chosen_rows`` alone."""
    return subset(dataset, chosen_rows(dataset, max_images, seed=seed))


def subset(dataset: EvalDataset, rows: Int64[np.ndarray, " images"]) -> EvalDataset:
    """The data set with these images alone; the data set itself where they are all of it.

    Args:
        rows: ascending, at least one.
    """
    if len(rows) == len(dataset):
        return dataset
    images, numbers = dataset.images, rows.tolist()
    first = first_of_equals([i.to_bytes(8, "big") for i in images.same_as[rows].tolist()])
    shared = dataset.shared_revision
    return replace(
        dataset,
        images=ChosenImages(images, rows, first, images.image_ids[rows]),
        labels=None if dataset.labels is None else dataset.labels[rows],
        captions=_chosen(dataset.captions, numbers),
        attributes=None if dataset.attributes is None else dataset.attributes[rows],
        factors=_chosen(dataset.factors, numbers),
        identities=_chosen(dataset.identities, numbers),
        questions=_chosen(dataset.questions, numbers),
        revision=_revision(dataset.revision, rows),
        annotations=_chosen(dataset.annotations, numbers),
        shared_revision=_revision(shared, rows) if shared else "",
    )


def _revision(whole: str, rows: Int64[np.ndarray, " images"]) -> str:
    return hashlib.sha256(f"{whole}:".encode() + rows.tobytes()).hexdigest()


def _chosen(values: tuple[T, ...] | None, rows: list[int]) -> tuple[T, ...] | None:
    return None if values is None else tuple(values[row] for row in rows)
