"""Find the data set behind a path: a CLIP_benchmark folder, plain shards, or class folders.

The folder layout is that of CLIP_benchmark's WebDataset exporter
(clip_benchmark/datasets/builder.py): ``classnames.txt``, ``zeroshot_classification_templates.txt``
and ``dataset_type.txt`` in the root, ``<split>/nshards.txt`` and ``<split>/0.tar`` onwards below.
One optional file is ours: ``shift_of.txt`` names the data set, or the split of this one, that the
data is a shifted form of; the report then draws the two side by side. Folders of pictures, one a
class, are described in ``eval.data.image_folders``.
"""

import glob
import re
from pathlib import Path
from typing import cast

from braceexpand import braceexpand

from data_pipelines.errors import ShardError
from data_pipelines.shards.find import refuse_program
from data_pipelines.shards.folder import CLASS_NAMES_FILE
from eval.data.dataset import Classes, EvalDataset, Layout, Task
from eval.data.image_folders import has_pictures, list_pictures
from eval.data.imagenet_layouts import names_of_wordnet_ids
from eval.data.read_samples import read_dataset
from eval.data.rows import ROWS_FOR
from eval.data.set_kinds import kind_of, set_kinds
from eval.data.word_lists import read_class_names, read_templates, read_text
from eval.errors import EvaluationError

#: What may be asked of plain shards: nothing in particular.
PLAIN_SPLITS = ("test", "all")
TEMPLATES_FILE = "zeroshot_classification_templates.txt"
TYPE_FILE = "dataset_type.txt"
COUNT_FILE = "nshards.txt"
SHIFT_FILE = "shift_of.txt"

_TASK_OF_TYPE: dict[str, Task] = {
    "classification": "zero_shot",
    "retrieval": "retrieval",
    "multilabel": "multilabel",
}


def open_dataset(
    path: str, *, split: str = "test", class_names: str | None = None, task: str = "auto"
) -> EvalDataset:
    """Open a data set for evaluation.

    Args:
        path: a CLIP_benchmark folder; a folder with a folder of pictures for each class; or plain
            shards as one tar, a folder of tars, or a pattern with wildcards or braces
            ("val-{000..003}.tar").
        split: sub-folder of a CLIP_benchmark folder, or a cell of ImageNet-C
            ("gaussian_noise/3"); plain shards have no splits.
        class_names: a file with one name a line, or "imagenet" for open_clip's 1,000 names; None
            takes ``classnames.txt`` of the folder.
        task: "zero_shot", "retrieval", "multilabel", "vqa", "images" for pictures alone, a kind
            of data set (``eval.data.set_kinds``), or "auto" for what the folder declares.
    Raises:
        UnknownNameError: no such kind.
        ShardError: a shard is missing or no tar.
        EvaluationError: nothing there, no such split, an incomplete folder, or labels that do
            not fit the class names.
    """
    if task == "auto" and (kind := kind_of(path)) is not None:
        return kind.open(path)
    if task not in ("auto", *ROWS_FOR):
        return set_kinds.get(task).open(path)
    layout = locate(path, split=split, class_names=class_names)
    return read_dataset(layout, None if task == "auto" else cast(Task, task))


def locate(path: str, *, split: str = "test", class_names: str | None = None) -> Layout:
    """The shards behind a path and what lies beside them; reads no shard.

    Raises:
        ShardError: a shard is missing.
        EvaluationError: see ``open_dataset``.
    """
    refuse_program(path)
    if "://" in path:
        raise EvaluationError(
            f"{path} is an address; download the folder first and give its local path"
        )
    named = None if class_names is None else read_class_names(class_names)
    if has_splits(path):
        return _benchmark_layout(Path(path), split, named)
    if has_pictures(Path(path)) and not any(Path(path).glob("*.tar")):
        return _picture_layout(Path(path), split, named)
    if split not in PLAIN_SPLITS:
        raise EvaluationError(
            f"{path} has no splits, so no '{split}'; leave --split out, or give the shards of that "
            "split with --data"
        )
    return _plain_layout(path, named)


def has_splits(path: str) -> bool:
    """Whether a path is a CLIP_benchmark folder, by its text files or its numbered shards."""
    folder = Path(path)
    if not folder.is_dir():
        return False
    marks = (CLASS_NAMES_FILE, TEMPLATES_FILE, TYPE_FILE)
    if any((folder / mark).is_file() for mark in marks) and not any(folder.glob("*.tar")):
        return bool(_splits(folder)) or not has_pictures(folder)
    return any((sub / COUNT_FILE).is_file() or (sub / "0.tar").is_file() for sub in _splits(folder))


def evaluation_folders(path: str) -> list[str]:
    """The path itself, or the evaluation folders in it if it is a collection of such folders."""
    folder = Path(path)
    if not folder.is_dir() or has_splits(path) or any(folder.glob("*.tar")):
        return [path]
    below = [str(sub) for sub in sorted(folder.iterdir()) if has_splits(str(sub))]
    return below or [path]


def _splits(folder: Path) -> list[Path]:
    return sorted(sub for sub in folder.iterdir() if sub.is_dir() and any(sub.glob("*.tar")))


def _benchmark_layout(folder: Path, split: str, named: tuple[str, ...] | None) -> Layout:
    type_file = folder / TYPE_FILE
    kind = read_text(type_file).strip() if type_file.is_file() else "classification"
    if kind not in _TASK_OF_TYPE:
        raise EvaluationError(
            f"{type_file} says '{kind}'; vlsuite evaluates {' and '.join(_TASK_OF_TYPE)}"
        )
    shift_file = folder / SHIFT_FILE
    return Layout(
        name=folder.resolve().name,
        split=split,
        shards=_numbered_shards(folder, split),
        classes=_classes(folder, named),
        declared_task=_TASK_OF_TYPE[kind],
        one_per_line=True,
        shift_of=read_text(shift_file).strip() if shift_file.is_file() else None,
    )


def _numbered_shards(folder: Path, split: str) -> tuple[Path, ...]:
    """The tars 0 to n - 1 of a split; a wrong count would silently score part of the data."""
    known = ", ".join(sub.name for sub in _splits(folder)) or "none"
    if not (folder / split).is_dir():
        raise EvaluationError(
            f"{folder} has no split '{split}'; choose one of: {known} (--split NAME)"
        )
    present = {int(p.stem) for p in (folder / split).glob("*.tar") if p.stem.isdigit()}
    count_file = folder / split / COUNT_FILE
    if not count_file.is_file():
        raise EvaluationError(
            f"{count_file} is missing; write the number of shards into it "
            f"({len(present)} .tar files are there)"
        )
    text = read_text(count_file).strip()
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise EvaluationError(f"{count_file} holds '{text[:40]}'; it must be the number of shards")
    missing = sorted(set(range(int(text))) - present)
    if missing:
        raise ShardError(
            f"shard {folder / split / f'{missing[0]}.tar'} is missing ({count_file.name} says "
            f"{text}, {len(missing)} absent); fetch the folder again or correct {count_file.name}"
        )
    if extra := sorted(present - set(range(int(text)))):
        raise EvaluationError(
            f"{count_file} says {text} but {extra[0]}.tar is there as well; "
            f"write {max(present) + 1} if it belongs to the split, else move it away"
        )
    return tuple(folder / split / f"{number}.tar" for number in range(int(text)))


def _plain_layout(path: str, named: tuple[str, ...] | None) -> Layout:
    folder = Path(path)
    if folder.is_dir():
        shards = tuple(sorted(folder.glob("*.tar")))
        if (folder / COUNT_FILE).is_file():
            raise EvaluationError(
                f"{path} is one split of an evaluation folder; "
                f"use --data {folder.parent} --split {folder.name}"
            )
        if not shards:
            raise EvaluationError(
                f"{path} holds no .tar files, no split and no class folders with pictures; give "
                "a CLIP_benchmark folder, a folder of shards or a folder of class folders"
            )
        name = folder.resolve().name
    else:
        shards = _matching_shards(path)
        name = re.sub(r"[-_]\d+$", "", shards[0].name.removesuffix(".tar")) or shards[0].stem
    return Layout(
        name=name,
        split="all",
        shards=shards,
        classes=_classes(shards[0].parent, named),
        declared_task=None,
        one_per_line=False,
    )


def _picture_layout(folder: Path, split: str, named: tuple[str, ...] | None) -> Layout:
    if named is None and (folder / CLASS_NAMES_FILE).is_file():
        named = read_class_names(str(folder / CLASS_NAMES_FILE))
    pictures = list_pictures(folder, split=split, class_names=named)
    templates_file, shift_file = folder / TEMPLATES_FILE, folder / SHIFT_FILE
    templates = read_templates(templates_file) if templates_file.is_file() else pictures.templates
    return Layout(
        name=pictures.name,
        split=pictures.split,
        shards=(),
        classes=Classes(pictures.class_names, templates),
        declared_task="zero_shot",
        one_per_line=False,
        shift_of=read_text(shift_file).strip() if shift_file.is_file() else None,
        pictures=pictures,
    )


def _matching_shards(path: str) -> tuple[Path, ...]:
    try:
        patterns = list(braceexpand(path))
    except ValueError:  # unbalanced
        raise EvaluationError(f"{path} has unbalanced braces; write {{000..003}}") from None
    shards: list[Path] = []
    for pattern in patterns:
        found = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern))
        if not found:
            raise ShardError(f"no shard matches {pattern}; check the path given with --data")
        shards += map(Path, found)
    return tuple(shards)


def _classes(folder: Path, named: tuple[str, ...] | None) -> Classes | None:
    names_file, templates_file = folder / CLASS_NAMES_FILE, folder / TEMPLATES_FILE
    if named is None and names_file.is_file():
        named = read_class_names(str(names_file))
    if named is None:
        return None
    named = names_of_wordnet_ids(named)
    return Classes(named, read_templates(templates_file) if templates_file.is_file() else None)
