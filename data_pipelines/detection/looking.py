"""Stored boxes in numbers and in pictures, for ``vlsuite data inspect``."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps

from data_pipelines.detection.annotations import Annotations
from data_pipelines.detection.drawing import annotated_picture
from data_pipelines.detection.stored import of_fields
from data_pipelines.detection.vocabulary import VOCABULARY_NAME, Vocabulary
from data_pipelines.errors import DataError
from data_pipelines.image_formats import open_image
from data_pipelines.images import MAX_PIXELS, on_white
from data_pipelines.shards.stored_sample import StoredSample

_CELL = 256  # side of a picture in pixels
_GAP = 8
_COLUMNS = 5


class Vocabularies:
    """The ``categories.json`` of folders, each read once."""

    def __init__(self) -> None:
        self._of: dict[Path, Vocabulary | None] = {}

    def of(self, folder: Path) -> Vocabulary | None:
        """None where the folder has none.

        Raises:
            DataError: it is broken.
        """
        if folder not in self._of:
            is_there = (folder / VOCABULARY_NAME).is_file()
            self._of[folder] = Vocabulary.load(folder) if is_there else None
        return self._of[folder]


class BoxCounts(NamedTuple):
    """What is marked in the pictures that were read.

    Attributes:
        pictures: with boxes.
        empty: without boxes.
        boxes: crowds among them.
        masks: boxes that have one.
        crowds: boxes that stand for a group.
        names: different ones.
        by_group: boxes by "base" and "novel"; empty where the names have no groups.
    """

    pictures: int
    empty: int
    boxes: int
    masks: int
    crowds: int
    names: int
    by_group: dict[str, int]


class BoxTally:
    """Counts the boxes of samples as they are read."""

    def __init__(self) -> None:
        self._vocabularies = Vocabularies()
        self._totals: Counter[str] = Counter()
        self._groups: Counter[str] = Counter()
        self._names: set[str] = set()

    def add(self, sample: StoredSample, folder: Path) -> None:
        """Count a sample, if its shard has names beside it.

        Raises:
            DataError: its boxes or the names cannot be read.
        """
        vocabulary = self._vocabularies.of(folder)
        if vocabulary is None:
            return
        found = of_fields(sample.fields, vocabulary)
        self._totals["pictures" if found.num_objects else "empty"] += 1
        self._totals["boxes"] += found.num_objects
        self._totals["crowds"] += int(found.is_crowd.sum())
        self._totals["masks"] += sum(mask is not None for mask in found.masks or ())
        for label in found.labels.tolist():
            category = vocabulary.categories[label]
            self._names.add(category.name)
            self._groups.update((category.group,) if category.group else ())

    @property
    def counts(self) -> BoxCounts | None:
        """None where no shard has names beside it."""
        totals = self._totals
        if not totals["pictures"] + totals["empty"]:
            return None
        return BoxCounts(
            pictures=totals["pictures"],
            empty=totals["empty"],
            boxes=totals["boxes"],
            masks=totals["masks"],
            crowds=totals["crowds"],
            names=len(self._names),
            by_group=dict(sorted(self._groups.items())),
        )


def describe_boxes(counts: BoxCounts) -> list[str]:
    """The counts as lines for a terminal."""
    groups = ", ".join(f"{number:,} {group}" for group, number in counts.by_group.items())
    mean = counts.boxes / max(1, counts.pictures + counts.empty)
    return [
        f"boxes   {counts.boxes:,} of {counts.names:,} names"
        + (f" ({groups})" if groups else "")
        + f", {mean:.1f} a picture; {counts.masks:,} with masks, {counts.crowds:,} crowds, "
        f"{counts.empty:,} pictures without"
    ]


def boxed_picture(sample: StoredSample, vocabulary: Vocabulary) -> Image.Image:
    """The picture with its boxes, scaled to a cell of the sheet; white where undecodable.

    Raises:
        DataError: its boxes cannot be read.
    """
    annotations = of_fields(sample.fields, vocabulary)
    cell = Image.new("RGB", (_CELL, _CELL), "white")
    picture = _upright(sample, annotations)
    if picture is None:
        return cell
    drawn = annotated_picture(picture, annotations, vocabulary.texts, side=_CELL)
    cell.paste(drawn, ((_CELL - drawn.width) // 2, (_CELL - drawn.height) // 2))
    return cell


def draw_boxed(cells: list[Image.Image]) -> Image.Image:
    """The cells in rows."""
    columns = min(_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    step = _CELL + _GAP
    sheet = Image.new("RGB", (columns * step + _GAP, rows * step + _GAP), "#e8e8e8")
    for number, cell in enumerate(cells):
        sheet.paste(cell, (_GAP + number % columns * step, _GAP + number // columns * step))
    return sheet


def _upright(sample: StoredSample, annotations: Annotations) -> Image.Image | None:
    """None where it cannot be decoded, or is not of the size that its boxes are of."""
    try:
        with open_image(sample.image.data) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            picture = on_white(ImageOps.exif_transpose(image))
    except (OSError, SyntaxError, ValueError, DataError, Image.DecompressionBombError):
        return None
    return picture if (picture.height, picture.width) == annotations.size else None
