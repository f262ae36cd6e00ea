"""Perturbed captions of a file, joined with the pictures of a data set by uid and caption."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from eval.data.dataset import EvalDataset
from eval.errors import EvaluationError
from eval.xmai.records import PerturbedCaption, PerturbedFile, read_perturbed, uids_of


class Rows(NamedTuple):
    """Captions before and after, in the order of the file, and the picture of each.

    Attributes:
        images: number of each caption's picture in the data set.
        num_repeated: captions left out because their picture has an equal one already.
    """

    images: Int64[np.ndarray, " rows"]
    captions: tuple[PerturbedCaption, ...]
    num_repeated: int

    @property
    def before(self) -> list[str]:
        """The original captions."""
        return [caption.original for caption in self.captions]

    @property
    def after(self) -> list[str]:
        """The perturbed captions."""
        return [caption.perturbed for caption in self.captions]

    @property
    def is_changed(self) -> Bool[np.ndarray, " rows"]:
        """Which captions differ from their original."""
        return np.array([caption.is_changed for caption in self.captions], dtype=bool)


class NamedFile(NamedTuple):
    """A file of perturbed captions with what results say about it."""

    path: Path
    method: str
    digest: str
    content: PerturbedFile


def open_perturbed(path: str) -> NamedFile:
    """Read a file and take its digest.

    Raises:
        EvaluationError: see ``read_perturbed``; or the file has no captions.
    """
    content = read_perturbed(Path(path))
    if not content.captions:
        raise EvaluationError(f"{path} has no captions; 'vlsuite xmai perturb' writes them")
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    method = str(content.header.get("method") or content.captions[0].method)
    return NamedFile(Path(path), method, digest, content)


def join_captions(file: NamedFile, dataset: EvalDataset) -> Rows:
    """Each caption of the file with its picture; equal captions of one picture count once.

    Raises:
        EvaluationError: a picture or caption is not in the data set, or its text is another one.
    """
    places = {uid: row for row, uid in enumerate(uids_of(dataset))}
    known = dataset.captions
    images, kept = [], []
    seen: set[tuple[int, str]] = set()
    for caption in file.content.captions:
        row = places.get(caption.uid)
        if row is None:
            raise EvaluationError(
                f"{file.path}: picture {caption.uid} is not in {dataset.title}; give --data the "
                "shards that the captions were made from"
            )
        if known is not None:
            _check(file.path, caption, known[row], dataset.title)
        if (row, caption.original) in seen:
            continue
        seen.add((row, caption.original))
        images.append(row)
        kept.append(caption)
    repeated = len(file.content.captions) - len(kept)
    return Rows(np.array(images, dtype=np.int64), tuple(kept), repeated)


def seen_rows(rows: Rows, decoded: Int64[np.ndarray, " images"]) -> Rows:
    """The captions whose picture could be decoded.

    Raises:
        EvaluationError: none is left.
    """
    is_seen = np.isin(rows.images, decoded)
    if not is_seen.any():
        raise EvaluationError("no picture of the perturbed captions can be decoded")
    kept = tuple(c for c, seen in zip(rows.captions, is_seen.tolist(), strict=True) if seen)
    return Rows(rows.images[is_seen], kept, rows.num_repeated)


def scorer_of(header: dict[str, Any]) -> tuple[str, str]:
    """Name and fingerprint of the model that steered the choice of words; empty where none did."""
    models = header.get("models")
    scorer = models.get("scorer") if isinstance(models, dict) else None
    if not isinstance(scorer, dict):
        return "", ""
    return str(scorer.get("name", "")), str(scorer.get("fingerprint", ""))


def _check(path: Path, caption: PerturbedCaption, known: tuple[str, ...], title: str) -> None:
    number = caption.caption_number
    if not 0 <= number < len(known):
        raise EvaluationError(
            f"{path}: picture {caption.uid} has {len(known)} captions in {title}, so that there is "
            f"no number {number}; give --data the shards that the captions were made from"
        )
    if known[number].strip() != caption.original.strip():
        raise EvaluationError(
            f"{path}: caption {caption.id} is '{caption.original:.60}', but {title} says "
            f"'{known[number]:.60}'; perturb the captions of this data set anew"
        )
