"""What is marked in the pictures of a set, as columns, in rows of a chosen vocabulary."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from data_pipelines.detection.annotations import Annotations
from data_pipelines.detection.masks import rle_of
from data_pipelines.detection.splits import split_vocabulary
from data_pipelines.detection.vocabulary import Vocabulary
from eval.contract import DetectionVocabulary, MaskRle
from eval.detection.regions import Truth

#: Names of LVIS's frequencies in scores.
FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}


class ChosenVocabulary(NamedTuple):
    """The names of an evaluation.

    Attributes:
        vocabulary: with the groups of the split.
        rows: of each row of the set's own vocabulary the row here; -1 for names left out.
    """

    vocabulary: Vocabulary
    rows: Int64[np.ndarray, " own"]

    @property
    def shown(self) -> DetectionVocabulary:
        """As a detector is given them."""
        return DetectionVocabulary(self.vocabulary.names, self.vocabulary.texts)

    @property
    def groups(self) -> dict[str, Bool[np.ndarray, " classes"]]:
        """Classes of each group that has one."""
        listed = self.vocabulary.categories
        made = {
            group: np.array([one.group == group for one in listed]) for group in ("base", "novel")
        } | {
            name: np.array([one.frequency == letter for one in listed])
            for letter, name in FREQUENCIES.items()
        }
        return {name: own for name, own in made.items() if own.any()}


def chosen_vocabulary(own: Vocabulary, split: str) -> ChosenVocabulary:
    """The vocabulary under a split.

    Raises:
        ConfigError: no such split.
        DataError: it does not fit.
    """
    chosen = split_vocabulary(own, split)
    rows = [chosen.row_of_name.get(name, -1) for name in own.names]
    return ChosenVocabulary(chosen, np.array(rows, dtype=np.int64))


def truth_of(annotations: Sequence[Annotations], chosen: ChosenVocabulary) -> Truth:
    """The columns of some pictures, numbered in their order.

    Masks are there where every region has one.
    """
    kept = [one.kept(chosen.rows[one.labels] >= 0) for one in annotations]
    counts = [one.num_objects for one in kept]
    boxes = np.concatenate([one.boxes for one in kept]).astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    is_federated = any(one.negatives is not None for one in kept)
    return Truth(
        images=np.repeat(np.arange(len(kept)), counts),
        labels=chosen.rows[np.concatenate([one.labels for one in kept])],
        boxes=boxes,
        areas=np.concatenate([one.areas for one in kept]),
        is_crowd=np.concatenate([one.is_crowd for one in kept]),
        num_images=len(kept),
        num_classes=len(chosen.vocabulary),
        masks=_masks(kept),
        absent=_pairs([one.negatives or () for one in kept], chosen) if is_federated else None,
        not_exhaustive=(
            _pairs([one.not_exhaustive for one in kept], chosen) if is_federated else None
        ),
    )


def _pairs(
    listed: Sequence[Sequence[int]], chosen: ChosenVocabulary
) -> Int64[np.ndarray, "pairs 2"]:
    pairs = [
        (image, int(chosen.rows[label]))
        for image, labels in enumerate(listed)
        for label in labels
        if chosen.rows[label] >= 0
    ]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _masks(kept: Sequence[Annotations]) -> list[MaskRle] | None:
    masks: list[MaskRle] = []
    for one in kept:
        for row in range(one.num_objects):
            mask = None if one.masks is None else one.masks[row]
            if mask is None:
                return None
            rle = rle_of(mask, one.size)
            masks.append({"size": [rle.height, rle.width], "counts": rle.counts.encode("ascii")})
    return masks or None
