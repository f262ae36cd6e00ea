"""Hypotheses about pictures, before and after, with what each says to its picture.

A data set holds them in the json members of its samples:
``{"hypotheses": [{"text": "...", "label": "entailment"}, ...]}``. What became of them is in a file
of ``vlsuite xmai perturb``, joined by uid and number, or in a CSV with the columns label,
hypothesis and modified (the published files), joined by order, every text checked.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from data_pipelines.bounded_json import parsed_json
from eval.data.dataset import EvalDataset
from eval.errors import EvaluationError
from eval.xmai.records import uids_of
from eval.xmai.rows import open_perturbed, scorer_of
from eval.xmai.upstream.files import read_upstream

#: In the order of how far the picture supports the text.
LABELS = ("contradiction", "neutral", "entailment")


class Hypotheses(NamedTuple):
    """All rows of one method.

    Attributes:
        method: of perturbation.
        digest: SHA-256 of the file.
        images: number of each row's picture in the data set.
        labels: number of each row's label among ``LABELS``.
        before, after: the texts.
        scorer: name and fingerprint of the model that steered the choice of words; may be empty.
    """

    method: str
    digest: str
    images: Int64[np.ndarray, " rows"]
    labels: Int64[np.ndarray, " rows"]
    before: tuple[str, ...]
    after: tuple[str, ...]
    scorer: tuple[str, str] = ("", "")

    @property
    def is_changed(self) -> Bool[np.ndarray, " rows"]:
        """Which texts differ from their original."""
        pairs = zip(self.before, self.after, strict=True)
        return np.array([before != after for before, after in pairs], dtype=bool)


class Stated(NamedTuple):
    """A hypothesis of the data set."""

    image: int
    number: int
    text: str
    label: str


def read_hypotheses(path: str, dataset: EvalDataset) -> Hypotheses:
    """One file joined with the data set.

    Raises:
        EvaluationError: the file cannot be read, does not belong to the data set, or has rows
            without a known label.
    """
    return _from_csv(path, dataset) if path.endswith(".csv") else _from_lines(path, dataset)


def label_number(label: object, where: str) -> int:
    """Place of a label in ``LABELS``.

    Raises:
        EvaluationError: it is none of them.
    """
    if label not in LABELS:
        raise EvaluationError(f"{where} has the label {label!r}; it must be {', '.join(LABELS)}")
    return LABELS.index(label)


def stated_hypotheses(dataset: EvalDataset) -> list[Stated]:
    """Those in the json members, picture by picture; none where no member holds any.

    Raises:
        EvaluationError: "hypotheses" is not a list of objects with text and label.
    """
    found = []
    for row in range(len(dataset)):
        member = dataset.images.members(row).get("json")
        for number, entry in enumerate(_listed(member, dataset, row)):
            if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
                raise EvaluationError(
                    f"{dataset.title}: sample {dataset.key(row)} has a hypothesis without text; "
                    'write {"text": ..., "label": ...}'
                )
            found.append(Stated(row, number, entry["text"], str(entry.get("label"))))
    return found


def _listed(member: bytes | None, dataset: EvalDataset, row: int) -> list[object]:
    if member is None or b'"hypotheses"' not in member:
        return []
    try:
        listed = parsed_json(member)["hypotheses"]
    except (ValueError, KeyError, TypeError):
        listed = None
    if not isinstance(listed, list):
        raise EvaluationError(
            f"{dataset.title}: 'hypotheses' of sample {dataset.key(row)} is no list; write "
            '[{"text": ..., "label": ...}]'
        )
    return listed


def _from_lines(path: str, dataset: EvalDataset) -> Hypotheses:
    """By uid and number; labels of the file win over those of the data set."""
    file = open_perturbed(path)
    places = {uid: row for row, uid in enumerate(uids_of(dataset))}
    captions = file.content.captions
    needs_labels = any(caption.label is None for caption in captions)
    known = {}
    if needs_labels:
        known = {(s.image, s.number): s for s in stated_hypotheses(dataset)}
    images, labels = [], []
    for caption in captions:
        row = places.get(caption.uid)
        if row is None:
            raise EvaluationError(
                f"{path}: picture {caption.uid} is not in {dataset.title}; give --data the shards "
                "that the hypotheses were made from"
            )
        label = caption.label
        if label is None:
            stated = known.get((row, caption.caption_number))
            if stated is None or stated.text.strip() != caption.original.strip():
                raise EvaluationError(
                    f"{path}: row {caption.id} has no label, and {dataset.title} has no such "
                    "hypothesis; put 'hypotheses' with text and label into each "
                    f"{dataset.layout.each('json')}"
                )
            label = stated.label
        images.append(row)
        labels.append(label_number(label, f"{path}, row {caption.id}"))
    return Hypotheses(
        method=file.method,
        digest=file.digest,
        images=np.array(images, dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        before=tuple(caption.original for caption in captions),
        after=tuple(caption.perturbed for caption in captions),
        scorer=scorer_of(file.content.header),
    )


def _from_csv(path: str, dataset: EvalDataset) -> Hypotheses:
    """Row by row, in the order of the data set."""
    file = read_upstream(Path(path))[0]
    stated = stated_hypotheses(dataset)
    if len(stated) != len(file.rows):
        raise EvaluationError(
            f"{path} has {len(file.rows)} rows, {dataset.title} has {len(stated)} hypotheses; rows "
            "are joined by order, so both must be whole"
        )
    for number, (row, own) in enumerate(zip(file.rows, stated, strict=True), start=1):
        if row.original.strip() != own.text.strip():
            raise EvaluationError(
                f"{path}: row {number} is '{row.original:.60}', but hypothesis {number} of "
                f"{dataset.title} is '{own.text:.60}'; rows are joined by order"
            )
    labels = [label_number(row.label, f"{path}, row {i}") for i, row in enumerate(file.rows, 1)]
    return Hypotheses(
        method=file.method,
        digest=hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        images=np.array([own.image for own in stated], dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        before=tuple(row.original for row in file.rows),
        after=tuple(row.perturbed for row in file.rows),
    )
