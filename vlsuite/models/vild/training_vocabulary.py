"""The names that a detector is trained with, and which of them have labels."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from data_pipelines.detection.vocabulary import NOVEL, Vocabulary
from vlsuite.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TrainingVocabulary:
    """A vocabulary, and the group that is trained on.

    Attributes:
        vocabulary: all names; novel ones stand in it without labels.
    """

    vocabulary: Vocabulary

    @classmethod
    def load(cls, place: str) -> "TrainingVocabulary":
        """From ``categories.json``, or the folder of shards that holds it.

        Raises:
            ConfigError: no place is given, or all names are novel.
            DataError: it cannot be read.
        """
        if not place:
            raise ConfigError(
                "model.vocabulary is not set; name the categories.json beside the training shards, "
                "or their folder"
            )
        found = cls(vocabulary=Vocabulary.load(Path(place)))
        if not found.is_labelled.any():
            raise ConfigError(f"model.vocabulary={place}: every name is novel, so none has labels")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """As words, as the teacher reads them."""
        return self.vocabulary.texts

    @cached_property
    def is_labelled(self) -> Bool[Tensor, " C"]:
        """By row; a set without groups has labels for all."""
        return torch.tensor([one.group != NOVEL for one in self.vocabulary.categories])

    @cached_property
    def labelled_names(self) -> frozenset[str]:
        """Names that were trained on."""
        return frozenset(
            name for name, own in zip(self.names, self.is_labelled.tolist(), strict=True) if own
        )

    @cached_property
    def synonyms(self) -> dict[str, tuple[str, ...]]:
        """Other words for a name, by name."""
        return {one.text: one.texts[1:] for one in self.vocabulary.categories if one.texts[1:]}
