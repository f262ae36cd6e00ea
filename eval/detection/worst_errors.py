"""The worst errors of a detector as pictures: what it missed, misnamed, and made up.

At an overlap of one half: **missed** are marked regions that no find takes and no wrong name lies
on, the largest first; **misnamed** are finds on a region of another class that was not found;
**made up** are finds that overlap nothing that is marked by a tenth; the surest of both first.
Crowds and what the protocol does not count are in none of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64
from PIL import Image

from data_pipelines.detection.drawing import COLOURS, Drawn, draw_regions
from data_pipelines.errors import DataError
from eval.detection.matching import Matched
from eval.detection.overlap import box_overlaps
from eval.detection.picture_set import PictureSet
from eval.detection.regions import Found, Truth
from eval.report.thumbnails import as_address
from eval.results import Example, Panel
from vlsuite.batches.decode import decode_image

MISSED, MISNAMED, MADE_UP = "detection_missed", "detection_misnamed", "detection_made_up"
_HALF, _TENTH = 0.5, 0.1
_LOOKED_AT = 50  # finds for each error that is shown
_MARKED, _WRONG = COLOURS[2], COLOURS[1]
_OTHERS_SHOWN = 8


class Error(NamedTuple):
    """One error.

    Attributes:
        kind: ``MISSED``, ``MISNAMED`` or ``MADE_UP``.
        image: number of the picture among the scored ones.
        mark: row of the marked region it is about, -1 for none.
        find: row of the find it is about, -1 for none.
    """

    kind: str
    image: int
    mark: int
    find: int


def worst_errors(matches: Matched, truth: Truth, found: Found, *, count: int) -> list[Error]:
    """The worst errors of each kind, none of the same kind from one picture twice.

    Args:
        matches: of boxes.
        count: of each kind at most.
    """
    is_taken = _taken(matches, truth, found)
    wrong = np.flatnonzero((matches.is_right[0] & 1 == 0) & (matches.is_out[0] & 1 == 0))
    surest = wrong[np.argsort(-matches.scores[wrong], kind="stable")][: count * _LOOKED_AT]
    misnamed: list[Error] = []
    made_up: list[Error] = []
    for find in matches.rows[surest].tolist():
        image = int(found.images[find])
        marks = np.flatnonzero(truth.images == image)
        overlaps = _with(found.boxes[find], truth, marks)
        is_other = (
            (overlaps >= _HALF)
            & (truth.labels[marks] != found.labels[find])
            & ~is_taken[marks]
            & ~truth.is_crowd[marks]
        )
        if is_other.any():
            mark = int(marks[np.where(is_other, overlaps, -1).argmax()])
            misnamed.append(Error(MISNAMED, image, mark, find))
        elif overlaps.max(initial=0.0) < _TENTH:
            made_up.append(Error(MADE_UP, image, -1, find))
    misnamed_marks = {error.mark for error in misnamed}
    left = np.flatnonzero(~is_taken & ~truth.is_crowd)
    largest = left[np.argsort(-truth.areas[left], kind="stable")].tolist()
    missed = [
        Error(MISSED, int(truth.images[mark]), mark, -1)
        for mark in largest
        if mark not in misnamed_marks
    ]
    return [*_one_a_picture(missed, count), *_one_a_picture(misnamed, count),
            *_one_a_picture(made_up, count)]  # fmt: skip


def _one_a_picture(errors: Sequence[Error], count: int) -> list[Error]:
    return list({error.image: error for error in reversed(errors)}.values())[::-1][:count]


def _with(box: np.ndarray, truth: Truth, marks: np.ndarray) -> Float64[np.ndarray, " marked"]:
    return box_overlaps(box[None], truth.boxes[marks], truth.is_crowd[marks])[0]


def _taken(matches: Matched, truth: Truth, found: Found) -> np.ndarray:
    """Marked regions that a find of their class takes at an overlap of one half, best first."""
    is_taken = np.zeros(len(truth.labels), dtype=bool)
    pairs = truth.pairs(truth.images, truth.labels)
    order = np.argsort(pairs, kind="stable")
    right = np.flatnonzero(matches.is_right[0] & 1 == 1)
    for row in right.tolist():
        pair = truth.pairs(matches.images[row : row + 1], matches.labels[row : row + 1])[0]
        first, last = np.searchsorted(pairs[order], [pair, pair + 1])
        marks = order[first:last]
        free = ~is_taken[marks] & ~truth.is_crowd[marks]
        overlaps = np.where(free, _with(found.boxes[matches.rows[row]], truth, marks), -1.0)
        if overlaps.max(initial=-1.0) >= _HALF:
            is_taken[marks[len(marks) - 1 - overlaps[::-1].argmax()]] = True
    return is_taken


def drawn_errors(
    errors: Sequence[Error],
    pictures: PictureSet,
    rows: Int64[np.ndarray, " images"],
    truth: Truth,
    found: Found,
    names: Sequence[str],
) -> tuple[Example, ...]:
    """Errors as examples of a report; a picture that cannot be read is left out.

    Args:
        rows: numbers of the scored pictures in the set.
    """
    examples = []
    for error in errors:
        row = int(rows[error.image])
        try:
            picture = decode_image(pictures.read(row))
        except DataError:
            continue
        text, regions = _regions(error, truth, found, names)
        shown = Panel(f"{text} ({pictures.key(row)})", image=as_address(_cut(picture, regions)))
        examples.append(Example(error.kind, shown, (), Panel(""), 1))
    return tuple(examples)


def _regions(
    error: Error, truth: Truth, found: Found, names: Sequence[str]
) -> tuple[str, list[Drawn]]:
    """What the error is in words, and what is drawn: itself first, then other marked regions."""
    regions: list[Drawn] = []
    words: dict[str, str] = {}
    if error.find >= 0:
        score = f"{names[int(found.labels[error.find])]} {found.scores[error.find]:.2f}"
        regions.append(Drawn(_corners(found.boxes[error.find]), score, _WRONG))
        words["found"] = f"found {score}"
    if error.mark >= 0:
        name = names[int(truth.labels[error.mark])]
        regions.append(Drawn(_corners(truth.boxes[error.mark]), name, _MARKED, is_dashed=True))
        words["marked"] = f"marked {name}"
    for mark in np.flatnonzero(truth.images == error.image).tolist()[:_OTHERS_SHOWN]:
        if mark != error.mark:
            regions.append(Drawn(_corners(truth.boxes[mark]), "", "#9aa5b1", is_dashed=True))
    return ", ".join(words.values()), regions


def _corners(box: np.ndarray) -> tuple[float, float, float, float]:
    left, top, width, height = box.tolist()
    return left, top, left + width, top + height


_MOST_SIDE = 640


def _cut(picture: Image.Image, regions: Sequence[Drawn]) -> Image.Image:
    """With its regions, no larger than a report needs."""
    scale = min(1.0, _MOST_SIDE / max(picture.size))
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        regions = [
            region._replace(box=tuple(side * scale for side in region.box)) for region in regions
        ]
    return draw_regions(picture, regions)
