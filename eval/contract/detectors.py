"""What detectors can do, and the names that they are given."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor

from eval.contract.models import Model
from vlsuite.models.detections import Detections


class DetectionVocabulary(NamedTuple):
    """What a detector looks for.

    Attributes:
        names: of the classes, as annotations and tables call them.
        texts: the words that the detector is given for each, in the same order.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]


@runtime_checkable
class Detector(Model, Protocol):
    """A model that finds things of any names in pictures of any size."""

    def detect(
        self,
        images: Sequence[UInt8[Tensor, "3 height width"]],
        vocabulary: Sequence[str],
        *,
        max_detections: int,
        names_per_pass: int | None = None,
    ) -> list[Detections]:
        """Find everything that the vocabulary names, in each picture.

        Args:
            images: in [0, 255], each of its own size, on any device.
            vocabulary: texts of the classes, at least one (``DetectionVocabulary.texts``).
            max_detections: the best so many of a picture, over all classes.
            names_per_pass: texts scored at a time; None: all of them. A speed setting for a model
                whose scores of a class do not depend on it, and a setting of the evaluation for
                others: it stands in every result.
        """
        ...


@runtime_checkable
class KnowsNames(Protocol):
    """A ``Detector`` that was trained on names of its own."""

    @property
    def own_names(self) -> tuple[str, ...]:
        """As words, those without labels included."""
        ...


@runtime_checkable
class WordsNames(Protocol):
    """A ``Detector`` that puts names into prompts."""

    def with_prompts(self, prompts: Sequence[str]) -> Detector:
        """The same weights with other prompts, and another fingerprint.

        Args:
            prompts: each with ``{c}`` for the name.
        """
        ...


@runtime_checkable
class TakesExamples(Protocol):
    """A ``Detector`` that can be shown what to look for, in place of a name."""

    def with_examples(
        self,
        examples: Mapping[str, Sequence[UInt8[Tensor, "3 height width"]]],
        *,
        around: Sequence[UInt8[Tensor, "3 height width"]],
    ) -> Detector:
        """The same weights, for which these names mean what the pictures show.

        Args:
            examples: pictures of one thing each, cut out, by the name that will stand for it.
            around: some pictures of the kind that will be looked at, one at least: they say what
                is common to pictures, as against words.
        """
        ...


@runtime_checkable
class KeepsNames(Protocol):
    """A ``Detector`` for which names cost time, which a folder can save."""

    def keep_names_in(self, folder: Path) -> None:
        """From now on, read what is known of names there, and add to it."""
        ...
