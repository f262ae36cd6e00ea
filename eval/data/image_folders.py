"""Plain folders of pictures, a folder a class, as ImageNet and the sets around it are distributed.

What is recognised, by what lies in the folder:

- folders named by WordNet ids (n01440764): ImageNet and its relatives -R, -A, -O, -Sketch; only
  the classes that are there are ranked;
- the numbers 0 to 999 (ImageNet-V2): the number is the class, not the place in sorted order;
- ``mappings/`` beside ``images/`` (ObjectNet): the 113 classes shared with ImageNet, without the
  red frame;
- ``<corruption>/<severity>/`` (ImageNet-C): the split "gaussian_noise/3" is one cell, any other
  split all cells together;
- any other folders: sorted by name, the class is the name with spaces.

Files beside a picture with its name and another ending (``.json``, ``.mask.png``, ``.seg.png``,
``.depth.npy``, ``.depth.png``) belong to it, as members of a shard's sample would.
"""

import io
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt64

from data_pipelines.bounded_files import media_bytes
from data_pipelines.errors import ShardError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from eval.data.imagenet_layouts import (
    CLASS_NAMES,
    NUM_CLASSES,
    OBJECTNET_BORDER,
    TEMPLATES,
    class_of_wordnet_id,
    objectnet_folders,
)
from eval.errors import EvaluationError
from eval.metrics.alexnet_error import ALEXNET_ERROR
from vlsuite.batches.decode import decode_image

_PICTURES = frozenset(FORMAT_OF_SUFFIX)
_COMPANIONS = ("json", "mask.png", "seg.png", "depth.npy", "depth.png")
_SPLIT_NAMES = frozenset(("val", "test", "train", "validation", "images"))

#: Corruptions of ImageNet-C: 15, and 4 that are not part of mCE.
CORRUPTIONS = (*ALEXNET_ERROR, "speckle_noise", "gaussian_blur", "spatter", "saturate")


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureFolder:
    """A folder of class folders, listed but not read.

    Args:
        name: what results call it.
        split: "all" where there are none.
        root: what ``folders`` are relative to.
        folders: that hold pictures.
        folder_of: place in ``folders`` of each picture, class by class in sorted order.
        files: name of each picture.
        labels: class of each.
        class_names: one for each class.
        templates: prompts published with the set, None where there are none.
        border: pixels to cut off each side.
        companions: endings of the files that belong to a picture, by its number.
    """

    name: str
    split: str
    root: Path
    folders: tuple[str, ...]
    folder_of: Int64[np.ndarray, " pictures"]
    files: tuple[str, ...]
    labels: Int64[np.ndarray, " pictures"]
    class_names: tuple[str, ...]
    templates: tuple[str, ...] | None = None
    border: int = 0
    companions: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.files)

    def path(self, i: int) -> Path:
        """Of picture ``i``."""
        return self.root / self.folders[int(self.folder_of[i])] / self.files[i]

    def read(self, i: int) -> dict[str, bytes]:
        """Picture ``i`` as it lies on disk and what belongs to it, by suffix.

        Raises:
            OSError: a file cannot be read.
        """
        path = self.path(i)
        members = {path.suffix[1:].lower(): media_bytes(path)}
        for ending in self.companions.get(i, ()):
            members[ending] = media_bytes(path.with_suffix(f".{ending}"))
        return members


@dataclass(frozen=True, slots=True)
class FileImages:
    """Pictures of a folder by number (see ``eval.data.dataset.StoredImages`` and ``NamedImages``).

    Args:
        folder: where they lie.
        places: number within the folder, for each picture.
        same_as, image_ids: see ``StoredImages``.
    """

    folder: PictureFolder
    places: Int64[np.ndarray, " images"]
    same_as: Int64[np.ndarray, " images"]
    image_ids: UInt64[np.ndarray, " images"]

    def __len__(self) -> int:
        return len(self.places)

    def key(self, i: int) -> str:
        """See ``NamedImages``."""
        return self.folder.files[int(self.places[i])]

    @property
    def has_cells(self) -> bool:
        """Whether these are pictures of several cells of ImageNet-C."""
        return all(folder.split(os.sep)[0] in CORRUPTIONS for folder in self.folder.folders)

    def cells(self) -> Int64[np.ndarray, "images 2"]:
        """Of each picture of ImageNet-C: corruption (place in ``CORRUPTIONS``) and severity."""
        parts = [folder.split(os.sep)[:2] for folder in self.folder.folders]
        cell = [(CORRUPTIONS.index(name), int(severity)) for name, severity in parts]
        return np.array(cell, dtype=np.int64)[self.folder.folder_of[self.places]]

    def read(self, i: int) -> bytes:
        """See ``StoredImages``."""
        return next(iter(self.members(i).values()))

    def members(self, i: int) -> Mapping[str, bytes]:
        """See ``StoredImages``; a border is cut off and the rest stored anew without loss.

        Raises:
            ShardError: a file vanished since the folder was opened.
            DataError: the picture is broken; only where a border has to be cut off.
        """
        number = int(self.places[i])
        try:
            members = self.folder.read(number)
        except OSError as error:
            raise ShardError(
                f"cannot read {self.folder.path(number)}: "
                f"{error.strerror or error}; it was there when the folder was opened"
            ) from error
        if not self.folder.border:
            return members
        suffix, *companions = members
        cut = _without_border(members[suffix], self.folder.border)
        return {"png": cut} | {ending: members[ending] for ending in companions}

    def fingerprint(self) -> bytes:
        """See ``StoredImages``."""
        digest = sha256(os.fsencode(self.folder.root) + self.places.tobytes())
        digest.update(self.image_ids.tobytes())
        return digest.digest()


def has_pictures(folder: Path) -> bool:
    """Whether a folder holds class folders with pictures, at any of the known places."""
    if not folder.is_dir():
        return False
    return (
        _objectnet_root(folder) is not None
        or bool(corruption_cells(folder))
        or any(_holds_pictures(sub) for sub in _subfolders(folder))
    )


def corruption_cells(folder: Path) -> list[str]:
    """The cells of an ImageNet-C folder that are there ("gaussian_noise/3")."""
    return [
        f"{name}/{severity}"
        for name in CORRUPTIONS
        for severity in range(1, 6)
        if (folder / name / str(severity)).is_dir()
    ]


def list_pictures(
    folder: Path, *, split: str = "test", class_names: tuple[str, ...] | None = None
) -> PictureFolder:
    """Find the pictures of a folder of class folders and the classes they belong to.

    Args:
        folder: see the module.
        split: a cell of ImageNet-C, anything else for all of them; of no meaning elsewhere.
        class_names: one for each class folder in sorted order, instead of what the folders say.
    Raises:
        EvaluationError: no pictures, or too few class names.
    """
    place = _place(folder, split)
    found = [[sub.name for sub in _subfolders(place.root / cell)] for cell in place.cells]
    names = sorted({name for cell in found for name in cell})
    classes = _objectnet_classes(names) if place.border else _classes(names)
    if class_names is not None:
        classes = _renamed(classes, class_names, place.root)
    listing = _Listing(place.root)
    for cell, present in zip(place.cells, found, strict=True):
        for name, label in classes.folders:
            if name in present:
                listing.add(os.path.join(cell, name), label)
    if not listing.files:
        raise EvaluationError(
            f"{place.root} holds no pictures in class folders; give a folder with one "
            "folder a class, a CLIP_benchmark folder or shards"
        )
    return PictureFolder(
        name=place.name,
        split=place.split,
        root=place.root,
        folders=tuple(listing.folders),
        folder_of=np.array(listing.folder_of, dtype=np.int64),
        files=tuple(listing.files),
        labels=np.array(listing.labels, dtype=np.int64),
        class_names=classes.names,
        templates=classes.templates,
        border=place.border,
        companions=listing.companions,
    )


class _Place(NamedTuple):
    """Where the class folders lie: below each of ``cells`` in the root."""

    root: Path
    name: str
    split: str
    cells: tuple[str, ...] = ("",)
    border: int = 0


def _place(folder: Path, split: str) -> _Place:
    resolved = folder.resolve()
    if cells := corruption_cells(folder):
        chosen = (split,) if split in cells else tuple(cells)
        return _Place(folder, resolved.name, split if split in cells else "all", chosen)
    if (root := _objectnet_root(folder)) is not None:
        return _Place(root / "images", resolved.name, "all", border=OBJECTNET_BORDER)
    if resolved.name.lower() in _SPLIT_NAMES:
        return _Place(folder, resolved.parent.name, resolved.name)
    return _Place(folder, resolved.name, "all")


class _Listing:
    """Collects the pictures of one class folder after the other."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.folders: list[str] = []
        self.folder_of: list[int] = []
        self.files: list[str] = []
        self.labels: list[int] = []
        self.companions: dict[int, tuple[str, ...]] = {}

    def add(self, folder: str, label: int) -> None:
        for place, below, names in os.walk(self._root / folder):
            below.sort()
            present = set(names)
            pictures = [name for name in sorted(names) if _is_picture(name)]
            for name in pictures:
                stem = name.rpartition(".")[0]
                endings = tuple(e for e in _COMPANIONS if f"{stem}.{e}" in present)
                if endings:
                    self.companions[len(self.files)] = endings
                # Cells of ImageNet-C repeat the names of the same 50,000 files.
                self.files.append(sys.intern(name))
            self.folder_of += [len(self.folders)] * len(pictures)
            self.labels += [label] * len(pictures)
            self.folders.append(os.path.relpath(place, self._root))


class _Classes(NamedTuple):
    """Folder and label of each class folder that counts, and the names of the labels."""

    folders: tuple[tuple[str, int], ...]
    names: tuple[str, ...]
    templates: tuple[str, ...] | None


def _classes(folders: list[str]) -> _Classes:
    wordnet = class_of_wordnet_id()
    if folders and all(folder in wordnet for folder in folders):
        numbers = sorted(wordnet[folder] for folder in folders)
        label = {number: place for place, number in enumerate(numbers)}
        ordered = sorted(folders, key=wordnet.__getitem__)
        return _Classes(
            tuple((folder, label[wordnet[folder]]) for folder in ordered),
            tuple(CLASS_NAMES[number] for number in numbers),
            TEMPLATES,
        )
    if all(re.fullmatch("[0-9]+", folder) for folder in folders):
        folders = sorted(folders, key=int)
        if [int(folder) for folder in folders] == list(range(NUM_CLASSES)):
            return _Classes(tuple((f, int(f)) for f in folders), CLASS_NAMES, TEMPLATES)
    words = tuple(" ".join(folder.replace("_", " ").split()) or folder for folder in folders)
    return _Classes(tuple((f, label) for label, f in enumerate(folders)), words, None)


def _objectnet_classes(folders: list[str]) -> _Classes:
    known = objectnet_folders()
    kept = [folder for folder in known if folder in set(folders)]
    names = tuple(known[folder] for folder in kept)
    return _Classes(tuple((f, label) for label, f in enumerate(kept)), names, TEMPLATES)


def _renamed(classes: _Classes, class_names: tuple[str, ...], root: Path) -> _Classes:
    """Given names, by label; all 1,000 of ImageNet for some of its classes mean their own."""
    if class_names == CLASS_NAMES and classes.templates is not None:
        return classes
    if len(class_names) < len(classes.names):
        raise EvaluationError(
            f"{root} has {len(classes.names)} class folders but only {len(class_names)} class "
            "names are given; write one a line for each folder in sorted order"
        )
    return classes._replace(names=class_names)


def _objectnet_root(folder: Path) -> Path | None:
    for root in (folder, folder / "objectnet-1.0"):
        if (root / "mappings" / "folder_to_objectnet_label.json").is_file():
            return root
    return None


def _subfolders(folder: Path) -> list[Path]:
    return sorted(sub for sub in folder.iterdir() if sub.is_dir() and sub.name[0] != ".")


def _holds_pictures(folder: Path) -> bool:
    return any(_is_picture(entry.name) for entry in os.scandir(folder))


def _is_picture(name: str) -> bool:
    is_companion = any(name.endswith(f".{ending}") for ending in _COMPANIONS)
    return name.rpartition(".")[2].lower() in _PICTURES and name[0] != "." and not is_companion


def _without_border(data: bytes, border: int) -> bytes:
    image = decode_image(data)
    stream = io.BytesIO()
    inner = (border, border, image.width - border, image.height - border)
    image.crop(inner).save(stream, format="PNG", compress_level=0)
    return stream.getvalue()
