"""Where the pictures lie that a probe learns from, and which of them it may learn from."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt64

from eval.data.dataset import EvalDataset
from eval.data.folders import has_splits, locate
from eval.data.read_samples import read_dataset
from eval.data.shifted_sets import matching_classes
from eval.errors import EvaluationError
from eval.task_choices import TaskChoices, task_options
from eval.zero_shot.templates import no_classes


@task_options.register("probe")
@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeOptions:
    """Choices of the linear probe and of the few-shot probe.

    Attributes:
        train: pictures to learn from: shards, class folders, a CLIP_benchmark folder; empty takes
            the split ``train_split`` of the data set's own folder.
        train_split: split of a CLIP_benchmark folder to learn from.
        validation: pictures that choose the penalty; empty takes ``validation_split`` of the
            folder of the training pictures if there is one of that name, else a part of these.
        validation_split: split of a CLIP_benchmark folder that chooses the penalty.
        validation_share: of the training pictures, where there are no others for validation.
        shots: training pictures of a class, for ``few_shot``; a score each.
        draws: how often ``few_shot`` draws them anew.
        max_steps: of each fit.
    """

    train: str = ""
    train_split: str = "train"
    validation: str = ""
    validation_split: str = "val"
    validation_share: float = 0.2
    shots: tuple[int, ...] = (1, 2, 4, 8, 16)
    draws: int = 5
    max_steps: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.validation_share < 1:
            raise EvaluationError(
                f"probe.validation_share={self.validation_share}: give a share between 0 and 1"
            )
        if not self.shots or min(self.shots) < 1 or len(set(self.shots)) < len(self.shots):
            raise EvaluationError(
                f"probe.shots={','.join(map(str, self.shots))}: give different numbers from 1 on"
            )
        if self.draws < 2:
            raise EvaluationError(f"probe.draws={self.draws}: an interval needs two draws at least")
        if self.max_steps < 1:
            raise EvaluationError(f"probe.max_steps={self.max_steps}: give at least 1")


class Learned(NamedTuple):
    """What a probe learns from.

    Attributes:
        train: pictures with labels; classes are those of the data set that is measured.
        validation: the same, to choose the penalty; None takes a part of ``train``.
    """

    train: EvalDataset
    validation: EvalDataset | None


def missing_pictures(dataset: EvalDataset, choices: TaskChoices) -> str | None:
    """What a probe lacks on a data set, in one line; None: nothing."""
    if (lack := no_classes(dataset)) is not None:
        return lack
    options = choices.of(ProbeOptions)
    if options.train or _own_split(dataset, options.train_split) is not None:
        return None
    return (
        f"{dataset.title} has no split '{options.train_split}' to learn from; give training "
        "pictures with --set probe.train=PATH"
    )


def open_pictures(dataset: EvalDataset, options: ProbeOptions) -> Learned:
    """Open what the probe of a data set learns from.

    Raises:
        ShardError: a shard is missing or no tar.
        EvaluationError: it has other classes, or is the very data that is measured.
    """
    if options.train:
        train = _opened(dataset, options.train, options.train_split, "train")
    else:
        folder = _own_split(dataset, options.train_split)
        assert folder is not None
        train = _opened(dataset, str(folder), options.train_split, "train")
    if options.validation:
        validation = _opened(dataset, options.validation, options.validation_split, "validation")
        return Learned(train, validation)
    folder = _own_split(train, options.validation_split)
    if folder is None or options.validation_split in (train.split, dataset.split):
        return Learned(train, None)
    return Learned(train, _opened(dataset, str(folder), options.validation_split, "validation"))


def _own_split(dataset: EvalDataset, split: str) -> Path | None:
    """The CLIP_benchmark folder of a data set, if it has that split."""
    if not dataset.layout.shards:
        return None
    folder = dataset.layout.shards[0].resolve().parent.parent
    if dataset.layout.shards[0].parent.name != dataset.split or not has_splits(str(folder)):
        return None
    return folder if any((folder / split).glob("*.tar")) else None


def _opened(dataset: EvalDataset, path: str, split: str, option: str) -> EvalDataset:
    """Pictures with the labels of the data set that is measured; others are left out, counted."""
    layout = locate(path, split=split if has_splits(path) else "test")
    if layout.classes is None:
        layout = layout._replace(classes=dataset.layout.classes)
    opened = read_dataset(layout, "zero_shot")
    if opened.revision == dataset.revision:
        raise EvaluationError(
            f"{path} is the data that is measured; give other pictures with --set "
            f"probe.{option}=PATH"
        )
    if matching_classes(dataset, opened) is None:
        assert dataset.layout.classes is not None
        assert opened.layout.classes is not None
        lacks = sorted(set(dataset.layout.classes.names) - set(opened.layout.classes.names))
        shown = f"class '{lacks[0]}'" if lacks else "all its classes"
        raise EvaluationError(
            f"{opened.title} lacks {shown} of {dataset.title}; give pictures of the same classes "
            f"with --set probe.{option}=PATH"
        )
    return opened


def labels_as_in(dataset: EvalDataset, other: EvalDataset) -> Int64[np.ndarray, " images"]:
    """The class of each image of another set, as the data set numbers them; -1 for none of them.

    Of names that are there twice, the first counts for both.
    """
    assert dataset.layout.classes is not None
    assert other.layout.classes is not None
    assert other.labels is not None
    names, others = dataset.layout.classes.names, other.layout.classes.names
    if names == others:
        return other.labels
    number: dict[str, int] = {}
    for label, name in enumerate(names):
        number.setdefault(name, label)
    of_label = np.array([number.get(name, -1) for name in others], dtype=np.int64)
    return of_label[other.labels]


class Part(NamedTuple):
    """Training pictures in two parts.

    Attributes:
        train: numbers among the pictures, ascending.
        validation: the same; no picture of theirs is in ``train``, under whatever number.
    """

    train: Int64[np.ndarray, " train"]
    validation: Int64[np.ndarray, " validation"]


def split_off(
    ids: UInt64[np.ndarray, " images"],
    labels: Int64[np.ndarray, " images"],
    *,
    share: float,
    seed: int,
) -> Part:
    """Set aside a share of the pictures of every class, equal pictures together.

    A class of one picture keeps it. The choice depends on the pictures and the seed, not on order.
    """
    order, is_validation = drawn_order(ids, seed=seed), np.zeros(len(ids), dtype=bool)
    for members in _by_class(labels, order):
        pictures = list(dict.fromkeys(ids[members].tolist()))
        count = min(max(round(share * len(pictures)), 1), len(pictures) - 1)
        is_validation |= np.isin(ids, np.array(pictures[:count], dtype=np.uint64))
    return Part(np.flatnonzero(~is_validation), np.flatnonzero(is_validation))


def few_of_each(
    ids: UInt64[np.ndarray, " images"],
    labels: Int64[np.ndarray, " images"],
    *,
    shots: int,
    validation_shots: int,
    seed: int,
) -> Part:
    """Draw some pictures of every class, different ones, and some others for validation.

    Of one seed, fewer shots are part of more. A class with too few pictures gives what it has,
    training first, but the last of several goes to validation.

    Args:
        validation_shots: 0 where validation has pictures of its own.
    """
    order = drawn_order(ids, seed=seed)
    train: list[int] = []
    validation: list[int] = []
    for members in _by_class(labels, order):
        first = members[np.sort(np.unique(ids[members], return_index=True)[1])].tolist()
        kept = min(shots, len(first) - 1) if validation_shots and len(first) > 1 else shots
        train += first[:kept]
        validation += first[kept : kept + validation_shots]
    return Part(*(np.sort(np.array(rows, dtype=np.int64)) for rows in (train, validation)))


def drawn_order(ids: UInt64[np.ndarray, " images"], *, seed: int) -> Int64[np.ndarray, " images"]:
    """The images in an order that follows from their content and the seed."""
    keys = [hashlib.sha256(f"{seed}:{one}".encode()).digest() for one in ids.tolist()]
    return np.array(sorted(range(len(keys)), key=lambda i: (keys[i], i)), dtype=np.int64)


def _by_class(labels: np.ndarray, order: np.ndarray) -> list[np.ndarray]:
    """The numbers of the images of each class, in that order."""
    sorted_labels = labels[order]
    grouped = order[np.argsort(sorted_labels, kind="stable")]
    ends = np.cumsum(np.unique(sorted_labels, return_counts=True)[1])
    return np.split(grouped, ends[:-1])
