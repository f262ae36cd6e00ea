"""What is wrong with the boxes of a stored sample, for ``vlsuite data validate``."""

from collections.abc import Mapping
from pathlib import Path

from data_pipelines.detection.annotations import Annotations
from data_pipelines.detection.masks import box_of_mask
from data_pipelines.detection.stored import of_fields
from data_pipelines.detection.vocabulary import VOCABULARY_NAME, Vocabulary
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.images import upright_size
from data_pipelines.shards.stored_sample import StoredSample

Problem = tuple[str, str]


class BoxCheck:
    """The check of shards that have ``categories.json`` beside them; of others, none.

    Args:
        vocabulary: None where there is none, or it cannot be read.
        problem: why it cannot be read; empty where it can, or there is none.
    """

    def __init__(self, vocabulary: Vocabulary | None, problem: str = "") -> None:
        self._vocabulary = vocabulary
        self.problem = problem

    @classmethod
    def beside(cls, shard: Path) -> "BoxCheck":
        """For the samples of a shard."""
        path = shard.parent / VOCABULARY_NAME
        if not path.is_file():
            return cls(None)
        try:
            return cls(Vocabulary.load(path))
        except DataError as error:
            return cls(None, str(error))

    @property
    def is_expected(self) -> bool:
        """Whether every sample has boxes, if only an empty list."""
        return self._vocabulary is not None

    def check(self, members: Mapping[str, bytes]) -> list[Problem]:
        """Kind and detail of each problem of a sample."""
        if self._vocabulary is None:
            return []
        sample = StoredSample("", members)
        try:
            annotations = of_fields(sample.fields, self._vocabulary)
            size = upright_size(sample.image.data)
        except BadSampleError as error:
            return [(error.kind, str(error).removeprefix(f"{error.kind}: "))]
        except DataError:
            return []  # a broken json or picture, which other checks tell of
        problems = _of_boxes(annotations)
        if size != annotations.size:
            problems.append(
                ("picture of another size than its boxes", f"{size}, json says {annotations.size}")
            )
        return problems


def _of_boxes(annotations: Annotations) -> list[Problem]:
    height, width = annotations.size
    problems: list[Problem] = []
    masks = annotations.masks or (None,) * annotations.num_objects
    for box, mask in zip(annotations.boxes.tolist(), masks, strict=True):
        left, top, right, bottom = box
        if right <= 0 or bottom <= 0 or left >= width or top >= height:
            problems.append(("box outside its picture", f"{box} in {width}x{height}"))
        elif mask is not None:
            own = box_of_mask(mask, annotations.size)
            is_met = own[0] < right and own[2] > left and own[1] < bottom and own[3] > top
            if own != (0, 0, 0, 0) and not is_met:
                problems.append(("mask outside its box", f"{list(own)} and {box}"))
    return problems
