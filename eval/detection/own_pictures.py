"""Pictures of a user's own, in a folder or alone, and what a detector finds in each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image

from data_pipelines.bounded_files import media_bytes
from data_pipelines.detection.pictures import FolderPictures
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.skips import Skips
from eval.contract import Detections, DetectionVocabulary, Detector
from eval.detection.detecting import asked, checked, pixels_of_picture
from eval.errors import EvaluationError
from vlsuite.batches.decode import decode_image

#: Pictures that a detector is given at once.
_BATCH = 8


class FoundPicture(NamedTuple):
    """What was found in one picture.

    Attributes:
        file_name: of the picture, from the folder it lies in.
        size: height and width of the upright picture in pixels.
        found: what scores enough, best first.
        best: of all names, those that score too little included; 0 for a name not found.
    """

    file_name: str
    size: tuple[int, int]
    found: Detections
    best: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Looking:
    """How pictures are looked at.

    Attributes:
        threshold: least score.
        max_detections: of a picture, over all names.
        names_per_pass: names scored at a time; None: all of them.
    """

    threshold: float = 0.3
    max_detections: int = 100
    names_per_pass: int | None = None

    def __post_init__(self) -> None:
        if self.max_detections < 1 or (self.names_per_pass or 1) < 1:
            raise EvaluationError("max_detections and names_per_pass: give at least 1")
        if not self.threshold >= 0:
            raise EvaluationError(f"threshold={self.threshold}: give 0 or more")


@dataclass(frozen=True, kw_only=True)
class OwnPictures:
    """One picture, or all of a folder and below it.

    Attributes:
        folder: that file names start from.
        names: of the files, in order.
        is_one: a picture was named, and has to be readable.
    """

    folder: Path
    names: tuple[str, ...]
    is_one: bool
    skips: Skips = field(default_factory=Skips)

    @classmethod
    def at(cls, path: Path, *, apart: Path | None = None) -> "OwnPictures":
        """Those of a path.

        Args:
            apart: a folder whose pictures do not count: what was drawn before.
        Raises:
            EvaluationError: nothing is there.
        """
        if path.is_file():
            return cls(folder=path.parent, names=(path.name,), is_one=True)
        if not path.is_dir():
            raise EvaluationError(f"{path} does not exist; give a picture or a folder of pictures")
        places = FolderPictures(path).places
        if apart is not None and apart.resolve().is_relative_to(path.resolve()):
            inside = apart.resolve().relative_to(path.resolve())
            places = tuple(one for one in places if not Path(one).is_relative_to(inside))
        if not places:
            raise EvaluationError(
                f"folder {path} holds no picture; give one with jpg, png, webp, ... in it or below"
            )
        return cls(folder=path, names=places, is_one=False)

    def read(self) -> Iterator[tuple[str, Image.Image]]:
        """Every picture that can be read, upright; others are counted in ``skips``.

        Raises:
            DataError: the only one cannot be read.
        """
        for name in self.names:
            try:
                yield name, upright(self.folder / name)
            except BadSampleError as error:
                if self.is_one:
                    raise DataError(f"{self.folder / name}: {error}") from error
                self.skips.add(error.kind, f"{name}: {error}")


def upright(path: Path) -> Image.Image:
    """The picture of a file, turned as its EXIF data say.

    Raises:
        BadSampleError: it cannot be read.
    """
    try:
        return decode_image(media_bytes(path))
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadSampleError("unreadable picture", reason) from error


def find_in(
    model: Detector, pictures: OwnPictures, names: Sequence[str], looking: Looking
) -> Iterator[tuple[Image.Image, FoundPicture]]:
    """Each picture that can be read, and what is in it.

    Raises:
        EvaluationError: the detector breaks its contract.
        DataError: see ``OwnPictures.read``.
    """
    vocabulary = DetectionVocabulary(tuple(names), tuple(names))
    waiting = pictures.read()
    while batch := list(islice(waiting, _BATCH)):
        shown = [pixels_of_picture(picture) for _, picture in batch]
        found = asked(
            model,
            shown,
            vocabulary,
            max_detections=looking.max_detections,
            names_per_pass=looking.names_per_pass,
        )
        for (name, picture), pixels, one in zip(batch, shown, found, strict=True):
            own = checked(one, pixels, vocabulary, model)
            size = (picture.height, picture.width)
            yield picture, FoundPicture(name, size, _sure(own, looking), _best(own, len(names)))


def _sure(found: Detections, looking: Looking) -> Detections:
    """Best first, whatever order the detector has, and no more than was asked for."""
    order = torch.argsort(found.scores, descending=True, stable=True)[: looking.max_detections]
    order = order[found.scores[order] >= looking.threshold]
    masks = None if found.masks is None else [found.masks[row] for row in order.tolist()]
    return Detections(found.boxes[order], found.scores[order], found.labels[order], masks)


def _best(found: Detections, num_names: int) -> tuple[float, ...]:
    best = torch.zeros(num_names, dtype=torch.float32)
    best.scatter_reduce_(0, found.labels, found.scores.float(), "amax")
    return tuple(best.tolist())
