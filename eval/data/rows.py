"""What is kept of a sample in memory, and which samples a task takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data_pipelines.schema import JsonValue, Question
from data_pipelines.shards.stored_sample import StoredSample
from eval.data.dataset import Classes, EvalDataset, Task


class SampleRow(NamedTuple):
    """A sample with a picture, without the picture.

    Attributes:
        place: its number in the source.
        digest: SHA-256 of the encoded picture.
        annotations: what the annotation of each task that has one says, by task; None where it
            says nothing.
    """

    place: int
    digest: bytes
    label: int | None
    captions: tuple[str, ...]
    attributes: tuple[int, ...]
    factors: Mapping[str, JsonValue]
    identity: str | None
    question: Question | None
    annotations: Mapping[str, JsonValue]


class Annotation(NamedTuple):
    """Something that one task alone reads from the samples; its values reach the task by row.

    Attributes:
        read: gives a value that JSON can hold, or None where the sample has none: then the task
            does not take it. A ``DataError`` counts as None.
        missing: why samples without a value are left out, for counting.
    """

    read: Callable[[StoredSample], JsonValue]
    missing: str = "no annotation"


@dataclass(frozen=True, kw_only=True, slots=True)
class NeededRows:
    """Which samples a task takes.

    Args:
        members: what a sample needs, for messages: "an image and cls".
        beside: what a picture of a folder of pictures needs, in a sentence that says what to do.
        holds: whether a sample has it.
        missing: why the others are left out, for counting: "no class label".
        problem: what is wrong with all samples that were taken, given where they lie, in one
            line; None where nothing is.
    """

    members: str
    beside: str
    holds: Callable[[SampleRow], bool]
    missing: str
    problem: Callable[[EvalDataset, str], str | None] = lambda dataset, where: None


def _label_problem(dataset: EvalDataset, where: str) -> str | None:
    classes = dataset.layout.classes
    if classes is None:
        return _no_names(where)
    assert dataset.labels is not None
    if (largest := int(dataset.labels.max())) >= len(classes.names):
        return (
            f"label {largest} in {where} but only {len(classes.names)} class names "
            f"(labels count from 0); the list needs at least {largest + 1} lines"
        )
    return None


def _attribute_problem(dataset: EvalDataset, where: str) -> str | None:
    classes: Classes | None = dataset.layout.classes
    if classes is None:
        return _no_names(where)
    num_classes, attributes = len(classes.names), dataset.attributes
    if attributes is None:
        return (
            f"the npy members in {where} differ in length; each needs {num_classes} numbers 0 or 1"
        )
    if attributes.shape[1] != num_classes or not np.isin(attributes, (0, 1)).all():
        return (
            f"npy members of {attributes.shape[1]} numbers from {attributes.min()} to "
            f"{attributes.max()} in {where}; each needs a 0 or 1 for each of the {num_classes} "
            "class names"
        )
    return None


def _no_names(where: str) -> str:
    return (
        f"{where} has class labels but no class names; give them with --class-names FILE, "
        "one name a line, or use --task retrieval"
    )


#: Every picture.
PICTURES = NeededRows(
    members="an image",
    beside="pictures that can be read are needed",
    holds=lambda row: True,
    missing="no image",
)
LABELLED = NeededRows(
    members="an image and cls",
    beside="each picture belongs into the folder of its class",
    holds=lambda row: row.label is not None,
    missing="no class label",
    problem=_label_problem,
)
CAPTIONED = NeededRows(
    members="an image and txt or json",
    beside='write {"captions": ["..."]} into NAME.json beside NAME.jpg',
    holds=lambda row: bool(row.captions),
    missing="no caption",
)
ATTRIBUTED = NeededRows(
    members="an image and npy",
    beside="a folder says one class a picture; use --task zero_shot",
    holds=lambda row: bool(row.attributes),
    missing="no class label",
    problem=_attribute_problem,
)
ASKED = NeededRows(
    members="an image and json with question and answers",
    beside='write {"question": "...", "answers": ["..."]} into NAME.json beside NAME.jpg',
    holds=lambda row: row.question is not None,
    missing="no question with answers",
)


def no_captions(dataset: EvalDataset) -> str | None:
    """What a data set lacks for a task about captions, None where nothing."""
    if dataset.captions is not None:
        return None
    if dataset.layout.pictures is not None:
        return f"{dataset.title} has pictures without captions; {CAPTIONED.beside}"
    return f"{dataset.title} has images without captions (txt or json members)"


#: What a data set is opened for, by the word for it.
ROWS_FOR: dict[Task, NeededRows] = {
    "zero_shot": LABELLED,
    "retrieval": CAPTIONED,
    "multilabel": ATTRIBUTED,
    "vqa": ASKED,
    "images": PICTURES,
}
